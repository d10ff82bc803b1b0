"""A program that knows nothing of Dynaberg: a plain boto3 resource, floats turned into Decimal, inserts only.

It writes what the published sample's traffic script writes: the same 22 attributes, one PutItem each.
"""

import random
import sys
import uuid
from datetime import datetime, timedelta
from decimal import Decimal

import boto3

table = boto3.resource("dynamodb").Table(sys.argv[1])
for _ in range(int(sys.argv[2])):
    moment = datetime.now() - timedelta(seconds=random.randint(0, 3600))  # noqa: DTZ005 (so does the sample)
    stamp = int(moment.timestamp() * 1000)
    table.put_item(
        Item={
            "transaction_id": f"TXN_{uuid.uuid4().hex[:16]}",
            "timestamp": stamp,
            "customer_id": f"CUST_{random.randint(1, 1000):06d}",
            "date": moment.strftime("%Y-%m-%d"),
            "hour": moment.hour,
            "minute": moment.minute,
            "transaction_type": random.choice(["PURCHASE", "REFUND", "PAYMENT", "TRANSFER", "WITHDRAWAL"]),
            "amount": Decimal(str(round(random.uniform(10, 1000), 2))),
            "currency": random.choice(["USD", "EUR", "GBP", "INR"]),
            "merchant_category": random.choice(["RETAIL", "GROCERY", "TRAVEL", "DINING"]),
            "payment_method": random.choice(["CREDIT_CARD", "DEBIT_CARD", "DIGITAL_WALLET", "BANK_TRANSFER"]),
            "region": random.choice(["US_EAST", "US_WEST", "EU", "APAC"]),
            "risk_score": random.choice(["LOW", "MEDIUM", "HIGH"]),
            "device_type": random.choice(["MOBILE", "WEB", "POS", "ATM"]),
            "authentication_method": random.choice(["2FA", "BIOMETRIC", "PIN", "PASSWORD"]),
            "merchant_id": f"MERCH_{random.randint(1, 1000):04d}",
            "velocity_check": random.choice(["PASS", "FLAG", "REVIEW"]),
            "amount_threshold": random.choice(["NORMAL", "HIGH", "VERY_HIGH"]),
            "location_risk": random.choice(["LOW", "MEDIUM", "HIGH"]),
            "pattern_match": random.choice(["NORMAL", "SUSPICIOUS"]),
            "status": random.choice(["APPROVED", "DECLINED", "PENDING_REVIEW", "FLAGGED"]),
            "processing_timestamp": stamp + random.randint(100, 1000),
        }
    )
