# Clean the sales export, group it by month and category, and write the answer as CSV, JSON, XML and a new workbook.
import json

import pandas as pd

raw = pd.read_excel("/data/sales.xlsx", sheet_name="Orders", header=2)
raw.columns = raw.columns.str.strip()
print(f"{len(raw):,} rows, {raw.isna().any(axis=1).sum():,} of them with empty cells")

MISSING = ["n/a", "-", "tbd", ""]


def to_day(value):
    # Real dates come through as they are; text is day first, unless it starts with the year or names the month.
    if not isinstance(value, str):
        return pd.to_datetime(value)
    for layout in ("%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%b %d, %Y"):
        try:
            return pd.to_datetime(value, format=layout)
        except ValueError:
            continue
    return pd.NaT


def to_number(column):
    text = column.astype("string").str.replace(r"[^0-9.\-]", "", regex=True)
    return pd.to_numeric(text.replace("", pd.NA), errors="coerce")


def to_label(column):
    return column.astype("string").str.strip().str.replace(r"\s+", " ", regex=True).str.title()


clean = raw[raw["Order ID"].astype("string").str.startswith("SO-")].drop_duplicates("Order ID").copy()
print(f"{len(raw) - len(clean)} rows dropped: orders exported twice, and the line of totals")

clean = clean.replace(MISSING, pd.NA)
clean["Order Date"] = clean["Order Date"].map(to_day)
clean["Units"] = to_number(clean["Units"])
clean["Unit Price"] = to_number(clean["Unit Price"])
for name in ("Region", "Category", "Status"):
    clean[name] = to_label(clean[name])
clean["Customer"] = clean["Customer"].str.strip().str.replace(r"\s+", " ", regex=True).str.casefold()
clean["Region"] = clean["Region"].fillna("Unknown")
clean["Status"] = clean["Status"].fillna("Unknown")
# A missing price is the usual price of that product; a missing date or number of units cannot be made up.
clean["Unit Price"] = clean["Unit Price"].fillna(clean.groupby("Product")["Unit Price"].transform("median"))
unusable = clean["Order Date"].isna() | clean["Units"].isna()
returned = ~unusable & (clean["Status"] == "Returned")
clean = clean[~unusable & ~returned].copy()
clean["Revenue"] = (clean["Units"] * clean["Unit Price"]).round(2)
print(f"left out: {unusable.sum()} orders without date or units, {returned.sum()} returned; {len(clean):,} remain")

clean["Month"] = clean["Order Date"].dt.strftime("%Y-%m")
summary = (
    clean.groupby(["Month", "Category"], as_index=False)
    .agg(orders=("Order ID", "count"), units=("Units", "sum"), revenue=("Revenue", "sum"))
    .round({"revenue": 2})
)
by_region = clean.pivot_table(index="Region", columns="Category", values="Revenue", aggfunc="sum").round(2)

summary.to_csv("summary.csv", index=False)
summary.to_xml("summary.xml", index=False, root_name="sales", row_name="month")
with open("summary.json", "w") as file:
    json.dump({"total": round(clean["Revenue"].sum(), 2), "rows": summary.to_dict("records")}, file, indent=2)
with pd.ExcelWriter("clean.xlsx", engine="openpyxl") as writer:
    clean.to_excel(writer, sheet_name="Orders", index=False)
    summary.to_excel(writer, sheet_name="By month", index=False)
    by_region.to_excel(writer, sheet_name="By region")
    writer.sheets["Orders"].freeze_panes = "A2"

print()
print(by_region.to_string(float_format="{:,.0f}".format))
best = summary.loc[summary["revenue"].idxmax()]
f"{clean['Revenue'].sum():,.2f} EUR in all; best: {best['Category']} in {best['Month']} with {best['revenue']:,.2f} EUR"
