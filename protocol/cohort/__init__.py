"""From a hospital's de-identified records to rows, one a patient, in which nobody stands alone.

mapping      what a reviewed document says: features, label, window, consent, k
features     each kind of feature, read from a patient's resources
quantities   numbers of Observations, in one unit
label        what is to be predicted, and the index date
history      a patient's resources in time; elements and codes as FHIR names them
hierarchies  how a value is generalised without leaving the schema
anonymity    k-anonymity: which levels lose least
build        consent, mapping and k-anonymity together, and the report
place        reading the document: every refusal says where
"""
