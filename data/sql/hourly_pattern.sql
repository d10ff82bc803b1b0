-- Transactions of one day by hour, the largest amounts first. By currency: amounts of different currencies do not
-- add up.
SELECT
    "date",
    "hour",
    merchant_category,
    payment_method,
    currency,
    count(*) AS transaction_count,
    sum(amount) AS total_amount,
    count(DISTINCT customer_id) AS unique_customers,
    count_if(status = 'DECLINED') AS declined_transactions,
    count_if(amount_threshold = 'HIGH') AS high_amount_transactions
FROM transactions
WHERE "date" = :day
GROUP BY "date", "hour", merchant_category, payment_method, currency
ORDER BY "hour", total_amount DESC
