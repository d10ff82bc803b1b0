CREATE TABLE orders (id bigint, customer string, region string, amount decimal(10,2), quantity int, ordered_at timestamp with time zone, ordered_on date, paid boolean, weight double, tags array<string>, prices map<string,double>, place struct<city:string,zip:int>, note string) TBLPROPERTIES ('table_type'='ICEBERG');
INSERT INTO orders VALUES
 (1, 'ann', 'north', DECIMAL '10.50', 2, TIMESTAMP '2026-01-05 08:15:30.123456 UTC', DATE '2026-01-05', true, 1.5e0, ARRAY['new','web'], MAP(ARRAY['net','tax'], ARRAY[8.5e0, 2e0]), CAST(ROW('Bonn', 53111) AS ROW(city varchar, zip integer)), '{"a":{"b":[1,2,{"c":"x"}]},"n":1.5,"t":true,"z":null}'),
 (2, 'bob', 'south', DECIMAL '20.00', 1, TIMESTAMP '2026-01-05 23:59:59.999999 UTC', DATE '2026-01-05', false, 2.25e0, ARRAY['web'], MAP(ARRAY['net'], ARRAY[20e0]), CAST(ROW('Ulm', 89073) AS ROW(city varchar, zip integer)), 'no json'),
 (3, 'ann', 'north', DECIMAL '5.25', 4, TIMESTAMP '2026-01-06 00:00:00 UTC', DATE '2026-01-06', true, NULL, ARRAY[], MAP(ARRAY[], ARRAY[]), NULL, NULL),
 (4, 'cid', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, ''),
 (5, 'dan', 'south', DECIMAL '-3.10', 7, TIMESTAMP '2026-02-28 12:00:00 UTC', DATE '2026-02-28', false, 0.1e0, ARRAY['b','a','b'], MAP(ARRAY['tax','net'], ARRAY[0e0, -3.1e0]), CAST(ROW('Jena', 7743) AS ROW(city varchar, zip integer)), '[3,1,2]');
CREATE TABLE customers (name string, country string, since date) TBLPROPERTIES ('table_type'='ICEBERG');
INSERT INTO customers VALUES ('ann', 'DE', DATE '2020-02-29'), ('bob', 'FR', DATE '2021-12-31'), ('eve', 'IT', DATE '2024-01-01');
