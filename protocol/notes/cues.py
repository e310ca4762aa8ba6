"""Words that say that a person's name follows, or stands before them."""

from __future__ import annotations

import re

#: Before a name whatever it is: "Dr Petit". Case matters for what is a unit or a word in small letters.
TITLE = re.compile(
    r"(?<![^\W_])(?:(?:[Dd]rs?|DRS?|[Mm]rs?|MRS?|[Mm]rs|Ms|Miss|MISS|Mx|[Mm]me|MME|[Mm]mes|MMES|[Mm]lles?"
    r"|MLLES?|Pr|PR|Prof|PROF|prof|Profs|Docteure?|DOCTEUR|docteure?|Doctor|DOCTOR|doctor"
    r"|Professeure?|PROFESSEUR|professeure?|Professor|professor|Monsieur|MONSIEUR|monsieur|Messieurs"
    r"|Madame|MADAME|madame|Mesdames|Mademoiselle|MADEMOISELLE|mademoiselle|Ma[iî]tre|Sister|Brother|Sir"
    r"|Lady|Dame|Dre|Pre|Mgr|Rev|Reverend|Père|Sœur"
    r"|Nurse|NURSE|Matron|Sage-femme|IDE|Int|Interne|Capt|Captain|Sgt|Officer)\.?|M\.|MM\."
    r"|M(?=[ ][A-ZÀ-Ý]))(?![\w-])[ \t]{0,3}\n?[ \t]{0,3}"
)
#: Of these a name may follow in small letters: after one, and after a colon, hardly anything else comes.
STRONG_TITLE = re.compile(
    r"(?:dr|drs|mr|mrs|ms|miss|mme|mmes|mlle|mlles|prof|docteure?|doctor|professeure?|professor|monsieur|madame"
    r"|mademoiselle|nurse)\b|mm?\."
)
STRONG_ROLE = re.compile(
    r"(?:patiente?|pt|attending|physician|doctor|medecin|chirurgien|surgeon|consultant|registrar|infirmiere?|nurse"
    r"|sage-femme|midwife|interne|intern|author|auteur|redacteur|next of kin|personne|aidante?|spouse|wife|husband"
    r"|epouse|epoux|mari|conjointe?|mother|father|mere|pere)\b"
)
STRONG_RUNNING = re.compile(r"(?:l'infirmiere?|infirmiere?|nurse|sage-femme|midwife)\b")
_CASELESS = re.I
_COLON = r"[ \t]{0,3}(?:\([^)\n]{0,12}\)[ \t]{0,3})?[:=#][ \t]{0,4}\n?[ \t]{0,4}"
#: A field: what follows on its line is a name even in small letters, and even if it is a word.
FIELD = re.compile(
    r"(?<![^\W_])(?:(?:nom|noms|name|prenoms?|first[ -]?names?|last[ -]?names?|surname|given names?"
    r"|family name|full name|forenames?|middle name|maiden name|preferred name|legal name"
    r"|nom (?:de naissance|de jeune fille|d'usage|usuel|marital|de famille|d'epouse|patronymique|complet"
    r"|du patient|de la patiente|du medecin|de l'enfant|et prenoms?)|nom[ ,/&-]{1,3}prenoms?"
    r"|prenoms?[ ,/&-]{1,3}(?:et )?noms?|patient'?s? name|name of patient|patient ?\(nom\)|nom patient"
    r"|physician name|provider name|doctor'?s name|mother'?s name|father'?s name|alias|aka)(?:\(s\))?)"
    + _COLON
)
#: A field whose value may be something else as well: "Patient: stable", "Contact: emergency".
ROLE = re.compile(
    r"(?<![^\W_])(?:(?:patiente?|pt|client|resident|re|ref|objet|concerne|concerning|regarding"
    r"|attending(?: physician)?|physician|doctor|medecin(?: traitant| referent| prescripteur"
    r"| correspondant| adresseur| hospitalier)?|chirurgien|surgeon|assistant|anesthesist|anaesthetist"
    r"|anesthesiologist"
    r"|anesthesiste|operateur|operator|provider|pcp|gp|general practitioner|primary care (?:physician"
    r"|provider)|referring (?:physician|doctor|provider)|referred by|consultant|registrar|author|auteur"
    r"|redacteur|prescripteur|dictated by|transcribed by|signed by|signe par|signature|(?:electronically"
    r"|digitally) signed by|signee? electroniquement par|validee? electroniquement par|document signe par"
    r"|reviewed by|verified by|approved by|authenticated by"
    r"|seen by|examined by|reported by|performed by|requested by|ordered by|prepared by|written by"
    r"|completed by|entered by|vue? par|realisee? par|redigee? par|validee? par|signee? par|dictee? par"
    r"|adressee? par|demandee? par|prescrite? par|examinee? par|relu par|saisie? par|lu par|emetteur"
    r"|destinataire|expediteur"
    r"|next of kin|nok|emergency contact|contact|contact person|personne (?:de confiance|a prevenir"
    r"|a contacter)|aidante?|carer|caregiver|guardian|tuteur|tutrice|curateur|curatrice|spouse|wife"
    r"|husband|mother|father|son|daughter|brother|sister|partner|epouse|epoux|mari|femme|mere|pere|fils"
    r"|fille|frere|soeur|conjointe?|compagne|compagnon|enfant"
    r"|cc|copie|copies|copy|copy to|to|from|de|a|attn|attention|a l'attention de|infirmiere?|nurse|ide|rn"
    r"|interne|intern|resident|sage-femme|midwife|kine|kinesitherapeute|pharmacien|pharmacist|psychologue"
    r"|social worker|assistante? sociale|dentist|cardiologue|correspondants?|accompagnee? (?:de|par)"
    r"|temoin|witness|typed by|health visitor|secretaire|secretary|aide|aides|aide operatoire|caller"
    r"|appelant|informant|historian|scrub nurse|circulating nurse|instrumentiste|panseuse"
    r"|interpreter present|interpreter|interprete))" + _COLON
)
#: In running text, a capital follows.
RUNNING = re.compile(
    r"(?<![^\W_])(?:[a-z]{2,14}(?:ed|en) (?:off |out |up |on )?by|(?:mother|father|wife|husband|daughter"
    r"|son|sister|brother|partner|mere|pere|epouse|mari|fille|fils|soeur|frere),|(?:electronically "
    r"|digitally |e-)?signed(?: electronically| off)? by|dictated by|transcribed by|seen (?:today |again "
    r"|in clinic |previously )?by|reviewed by|examined by|assessed by|evaluated by|referred (?:to us "
    r"|here )?(?:by|from)|accompanied by|performed by|managed by|followed by|discussed with|spoke (?:with"
    r"|to)|consulted with|met with"
    r"|under the care of|care of|c/o|attn|regards,?|sincerely,?|thanks,?|cordialement,?"
    r"|confraternellement,?|amicalement,?|bien a vous,?"
    r"|according to|told|asked|informed|notified|per|d'apres|selon|transmise?s? a|prevenir|prevenu"
    r"|informer|informe|remise? a|named|called|known as|nicknamed|prenommee?|nommee?|appelee?|surnommee?"
    r"|s'appelle|se prenomme|denommee?|dite?"
    r"|vue? (?:ce jour |en consultation |aux urgences |par le |par la )?par|adressee? par|suivie? (?:par"
    r"|chez)|examinee? par|operee? par|accompagnee? (?:de|par)|redigee? par|dictee? par|transcrite? par"
    r"|saisie? par|prescrite? par|demandee? par|assuree? par|organisee? par|effectuee? par|pratiquee? par"
    r"|decrite? par|appel de|appel a|entretien avec|reunion avec|a la disposition de|disposition d'"
    r"|signee? par|validee? par|relu par|realisee? par|avis (?:de|du)|contactee? par|confie a"
    r"|discute avec|en accord avec|recue? par|lettre (?:de|du)|courrier (?:de|du)|chez|a la demande (?:de"
    r"|du)|sous la responsabilite (?:de|du)"
    r"|merci a"
    r"|nee|born|epouse|veuve|divorcee?|ep\.?|vve"
    r"|(?:his|her|their|my|the patient's|patient's|son|sa|ses|leur|leurs|mon|ma|un|une) (?:late |older "
    r"|younger |elder |eldest |youngest |twin |petite? |grande? |jeune |aine |ainee |cadette? |defunte? "
    r"|ex-?)?(?:son|daughter|wife|husband|mother|father|brother|sister|partner|girlfriend|boyfriend"
    r"|fiancee?|friend|neighbou?r|aunt|uncle|niece|nephew|cousine?|grand(?:mother|father|son|daughter)"
    r"|mum|mom|dad|carer|caregiver|boss|gp|pcp"
    r"|fils|fille|femme|epouse|epoux|mari|mere|pere|frere|soeur|conjointe?|compagne|compagnon|amie?"
    r"|voisine?|tante|oncle|neveu|petit-fils|petite-fille|grand-mere|grand-pere|belle-fille|beau-fils"
    r"|belle-mere|beau-pere|belle-soeur|beau-frere|aidante?|medecin|medecin traitant|infirmiere?|enfant"
    r"|bebe|jumeau|jumelle)"
    r"|(?:l'enfant|l'infirmiere?|l'interne|l'aide-soignante?|le nourrisson|la patiente|le patient"
    r"|the patient|patient|patiente|baby|bebe|nurse|infirmiere?|interne|sage-femme|midwife|resident"
    r"|intern|registrar|ide|aide-soignante?|kine|psychologue|cardiologue|chirurgien|medecin traitant|gp"
    r"|le petit|la petite|le jeune|la jeune))[ \t]{0,2}[,:]?[ \t]{0,3}\n?[ \t]{0,3}"
)
#: At the beginning of a letter.
SALUTATION = re.compile(
    r"(?<![^\W_])(?:dear|hi|hello|cher(?: confrere| ami| collegue| maitre)?|chere(?: consoeur| amie| collegue)?"
    r"|chers? confreres?|bonjour|salut),?[ \t]{1,3}"
)
#: At the end of a letter: the next line is a name, whatever its words.
CLOSING = re.compile(
    r"(?<![^\W_])(?:regards|best wishes|sincerely|faithfully|truly|many thanks|thank you|cordialement"
    r"|confraternellement|amicalement|respectueusement|salutations distinguees|remerciements|bien a vous"
    r"|sentiments (?:les meilleurs|distingues|devoues)"
    r"|votre confiance)[,.!]?[ \t]{0,3}\n[\s]{0,4}"
)
#: Behind a name: qualifications and roles.
AFTER = re.compile(
    r"[ \t]{0,2}(?:,[ \t]{0,3}|\()(?:m\.?d\.?|d\.?o\.?|ph\.?d\.?|r\.?n\.?|n\.?p\.?|p\.?a\.?-?c?|msn|bsn"
    r"|mbbs|mbchb|bm|facs|facp|frc[psa][a-z]{0,4}|mrcp|mrcgp|dpm|dds|pharmd"
    r"|lcsw|crna|pt|otr|lpn|cnm|esq|ide|dnp|aprn|fnp|interne|consultant|registrar|attending|cardiologue"
    r"|infirmiere?)\.?(?![a-z])"
    r"|[ ](?:m\.?d|ph\.?d|r\.?n|mbbs|pharmd|frc[psa])\.?(?![a-z])"
)
#: Behind a name: an age, or a birth.
AGED = re.compile(
    r"[ \t]{0,2},?[ \t]{0,2}(?:(?:is |est |was |age |aged |agee? de |agee? )?(?:an? "
    r"|une? )?\(?\d{1,3}(?:[ -](?:ans?|years?|yrs?|yo|y/o|mois|months?|m|f|h)\b|[ -]?yo\b|y\b)|nee? le"
    r"|nee? en|born|ne en|dob|ddn|d\.o\.b|\((?:dob|ddn|mrn|ipp|nee?)|(?:ipp|mrn|nip|nir)\b)"
)

#: What people do, in notes: its subject is a person.
ACTING = re.compile(
    r" (?:(?:also |still |now |again |ne |n'|se |s'|nous |lui |me |le |la |y |en |a "
    r"|est ){0,2}(?:reports?|reported|denies|denied|states|stated|says|said|complains|complained|refuses"
    r"|refused|agrees|agreed|wants|wanted|wishes|lives|feels|felt|told|asked|called|phoned|rang|tolerated"
    r"|underwent|attended|drinks|smokes|smoked|walked|takes|works|worked|slept|ate"
    r"|refuse|refusait|plaint|plaignait|declare|signale|rapporte|souhaite|souhaitait|accepte|prend"
    r"|prenait|vit|habite|consulte|dort|mange|fume|boit|travaille|marche|dit|decrit|demande|appelle"
    r"|rappelle|explique|raconte|allegue|sent|inquiete|leve|alimente|beneficie|oppose|refuser|accompagne"
    r"|consulte)"
    r"|(?:was|were|has been|had been|is|will be) (?:also |then |again )?(?:advised|admitted|reviewed"
    r"|discharged|referred|counselled|told|asked|informed|transferred|brought|comfortable|known|aware"
    r"|happy|keen|unhappy|confused|able|unable|well|doing)"
    r"|(?:a ete|est|etait|sera|reste) (?:bien |aussi |alors |de nouveau )?(?:vue?|revue?|admise?"
    r"|hospitalisee?|adressee?|transferee?|informee?|operee?|suivie?|connue?|calme|sortie?|consciente?"
    r"|venue?|opposee?|autonome|rentree?))(?![a-z])"
)

_EPONYM_NOUNS = (
    r"disease|syndrome|sign|signs|score|scores|scale|test|criteria|catheter|fracture|palsy|disorder"
    r"|phenomenon|maneuver|manoeuvre|procedure|operation|repair|lymphoma|sarcoma|tumou?r|reflex"
    r"|contracture|tube|drain|"
    r"classification|stage|grade|index|method|formula|position|incision|clamp|retractor|forceps|needle"
    r"|suture|bodies|body|cells?|node|nodes|esophagus|oesophagus|chorea|ataxia|thyroiditis|anaemia|anemia"
    r"|encephalopathy|"
    r"psychosis|aphasia|area|duct|gland|glands|canal|ligament|triangle|point|law|stain|nodule|nodules"
    r"|ulcer|hernia|diverticulum|cyst|questionnaire|inventory|monitor|scan|ultrasound|study|velocity|coma"
    r"|murmur|rule|swab|cast|splint|collar|bag|bandage|pouch|purpura|osteotomy|pump|line|fundoplication"
    r"|equation|formula|clearance|valve|graft|space|pouch|fascia|duct|stitch|ring|rings|bars?|rods?"
    r"|approach|technique|view|views|block|transfer|flap|reservoir|system|set|program|protocol"
)
EPONYM_AFTER = re.compile(rf"(?:'s?)?(?:[ -](?:and |et )?[a-z'-]{{2,20}}(?:'s)?)?[ -](?:{_EPONYM_NOUNS})\b")
EPONYM_BEFORE = re.compile(
    r"(?<![a-z])(?:maladie|maladies|syndrome|syndromes|signe|signes|score|scores|echelle|echelles|test"
    r"|tests|manoeuvre|classification|lymphome|sarcome|tumeur|oesophage|fracture|paralysie|phenomene"
    r"|criteres?|indice|index|sonde|"
    r"drain|chirurgie|intervention|operation|lame|pince|aiguille|position|point|reflexe|thyroidite"
    r"|encephalopathie|choree|ataxie|demence|corps|cellules?|nodules?|canal|ligament|triangle|loi"
    r"|coloration|diverticule|kyste|hernie|questionnaire|"
    r"cotation|stade|grade|formule|methode|incision|purpura|neuropathie|dystrophie|anomalie|tetralogie"
    r"|aphasie|aire|sphincter|ampoule|glande|trompes?|anneau|collier|bandage|osteotomie|disease of"
    r"|syndrome of|sign of)"
    r"(?: dite?)?(?:[ -]likert)?[ \n]{1,3}(?:de |d'|du |des |type |selon "
    r"|of )?(?:[a-z]{3,14}[- ](?:et )?)?$"
)
#: A trade name or an inventor's: "Tegaderm dressing", "Freer elevator".
DEVICE_AFTER = re.compile(
    r"(?:'s)?[ -](?:clamps?|catheters?|sutures?|scissors|forceps|retractors?|cautery|tourniquet|needles?"
    r"|mesh|curettes?|dressings?|tape|sponges?|elevator|device|closure|sheath|blades?|stents?|tubes?"
    r"|drains?|screws?|plates?|monitor|pump|punch|cement|tabs?|tablets?|capsules?"
    r"|sonde|stent|fils?|aiguilles?|pinces?|ciseaux|lame|pansements?|prothese|vis|plaque|gel|pommade"
    r"|collyre|sirop|gelules?|comprimes?|criteria|scale|score|syndrome|disease)\b"
)
#: Before a drug: "sous Optilova", "maintained on".
DRUG_BEFORE = re.compile(
    r"(?<![a-z])(?:sous|traitee?s? par|traitement par|contraception par|antibiotherapie par"
    r"|infiltration (?:[a-z' ]{1,30} )?par|relais (?:par|avec)|puis|started(?: on)?|commenced(?: on)?"
    r"|maintained on|treated with|taking|takes|prescribed|switched to|allergic to"
    r"|allergie (?:a|au|aux|a la)|induction with|loaded with|tablets of|doses? (?:of|de)|cp de"
    r"|comprimes? de|cure de|cycle of|course of)[ ]$"
)
DOSE = re.compile(
    r"(?:[ -](?:lp|xr|sr|er|xl|cr|depot|forte|retard|hct|inj|iv|po|im|sc|cp|cpr|tab|tablets?|caps?|spray"
    r"|gel|cream|creme|patch|inhaler|mdi))?[ \t]{1,3}\d{1,6}(?:[.,/]\d{1,4})?[ \t]{0,2}(?:mg|g|gr|ug|µg"
    r"|μg|mcg|ui|iu|u|units?|unites?|ml|%|cp|cpr|gel|tabs?|tablets?|puffs?|gouttes|gttes?|bouffees?|meq"
    r"|mmol|sachets?|amp|ampoules?|fois|x|/j|par jour|q\d+h|daily|bid|tid|qd|po|prn|comprimes?)\b"
)
