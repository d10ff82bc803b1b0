-- Transactions by hour: number, amount, customers and declines for each merchant category and payment method.
-- By currency: amounts of different currencies do not add up.
-- build: full
-- check: rows > 0
-- check: unique("date", "hour", merchant_category, payment_method, currency)
-- check: SELECT * FROM hourly_activity WHERE declined + high_amount > 2 * transactions
-- chart: plot_hourly
SELECT
    "date",
    "hour",
    merchant_category,
    payment_method,
    currency,
    count(*) AS transactions,
    sum(amount) AS total_amount,
    count(DISTINCT customer_id) AS customers,
    count_if(status = 'DECLINED') AS declined,
    count_if(amount_threshold = 'HIGH') AS high_amount
FROM transactions
GROUP BY "date", "hour", merchant_category, payment_method, currency
