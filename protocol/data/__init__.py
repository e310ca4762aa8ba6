"""Records at a hospital: public sets to try with, schemas, tables, and datasets with their commitments."""
