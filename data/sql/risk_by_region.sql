-- Risk by region and merchant category since a given day, if at least one transaction had a high risk.
SELECT
    region,
    merchant_category,
    "date",
    count(*) AS total_transactions,
    sum(amount) AS total_amount,
    count_if(risk_score = 'HIGH') AS high_risk_count,
    count_if(velocity_check = 'FLAG') AS velocity_flags,
    count_if(status = 'FLAGGED') AS flagged_transactions
FROM transactions
WHERE "date" >= :since
GROUP BY region, merchant_category, "date"
HAVING count_if(risk_score = 'HIGH') > 0
ORDER BY high_risk_count DESC, region, merchant_category, "date"
