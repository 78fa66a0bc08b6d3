//! A result as one flat row: the columns of CSV and Parquet exports, and of CSV files that are loaded.
//!
//! Names and order are for good: a column that is added stands behind the others.

/// The names of the columns, in their order.
pub const COLUMNS: [&str; 21] = [
    "id",
    "storageId",
    "jobId",
    "createdAt",
    "modifiedAt",
    "dataSourceId",
    "businessPartnerId",
    "addressId",
    "externalId",
    "addressExternalId",
    "addressVersionCharacterSet",
    "addressVersionLanguage",
    "jobType",
    "resultData",
    "status",
    "message",
    "countryShortName",
    "processingStatus",
    "processingStatusModifiedAt",
    "configurationId",
    "configurationVersion",
];
