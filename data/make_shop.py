"""A DynamoDB table as an application would have it, for notebook 9: one table, several kinds of items.

It uses boto3 alone, and leaves a table that exists as it is: `python data/make_shop.py WebShop 200`.
"""

import random
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import boto3
from botocore.config import Config

PRODUCTS = {
    "TEA-100": Decimal("6.90"),
    "CUP-7": Decimal("12.50"),
    "POT-2": Decimal("39.00"),
    "SPOON-1": Decimal("2.40"),
    "BOX-9": Decimal("18.75"),
}
STATUSES = ("placed", "paid", "shipped", "delivered", "returned")
CITIES = ("Basel", "Genève", "Lugano", "Zürich")
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


def customer(number: int, chance: random.Random) -> dict:
    """A customer, with personal data that a contract should mask."""
    return {
        "PK": f"CUSTOMER#{number:05d}",
        "SK": "PROFILE",
        "entity": "Customer",
        "fullName": f"Robin Example {number}",
        "email": f"robin{number}@example.org",
        "address": {"city": chance.choice(CITIES), "postalCode": f"{chance.randrange(1000, 9999)}"},
        "newsletter": chance.random() < 0.4,
    }


def order(number: int, of_customer: int, chance: random.Random) -> dict:
    """An order, with its lines nested inside."""
    skus = chance.sample(list(PRODUCTS), k=chance.randrange(1, 4))
    lines = [{"sku": sku, "quantity": chance.randrange(1, 5), "unitPrice": PRODUCTS[sku]} for sku in skus]
    placed = START + timedelta(minutes=7 * number)
    found = {
        "PK": f"CUSTOMER#{of_customer:05d}",
        "SK": f"ORDER#{number:06d}",
        "entity": "Order",
        "placedAt": placed.isoformat().replace("+00:00", "Z"),
        "orderStatus": chance.choice(STATUSES),
        "orderTotal": sum((line["quantity"] * line["unitPrice"] for line in lines), Decimal(0)),
        "orderLines": lines,
    }
    return found | ({"couponCode": "SPRING26"} if chance.random() < 0.2 else {})


def make(name: str, customers: int) -> int:
    """Create the table with its items, four orders for each customer; returns how many items it made."""
    dynamodb = boto3.resource("dynamodb", config=Config(retries={"mode": "standard"}))
    if name in [table.name for table in dynamodb.tables.all()]:
        return 0
    table = dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("PK", "SK")],
        BillingMode="PAY_PER_REQUEST",
    )
    table.wait_until_exists()
    chance = random.Random(9)  # noqa: S311
    items = [customer(number, chance) for number in range(customers)]
    items += [order(number, number % customers, chance) for number in range(4 * customers)]
    with table.batch_writer() as batch:
        for item in items:
            batch.put_item(Item=item)
    return len(items)


if __name__ == "__main__":
    sys.stdout.write(f"{make(sys.argv[1], int(sys.argv[2]))} items written to {sys.argv[1]}\n")
