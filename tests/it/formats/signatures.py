"""Signs and checks with the validator of Twilio's own package: signatures.py FILE.

FILE holds a list of {"token", "algorithm", "signed": [url, form], "url", "form", "key"}. Prints for each the signature that `token`
makes of what is signed, and whether it is one of `url` and `form` by the key `key`.
"""

import json
import logging
import sys
from urllib.parse import parse_qs

from twilio.request_validator import RequestValidator, get_signature_algorithm

# Of a hash that it does not know.
logging.disable()


def is_good(case, signature):
    validator, algorithm = RequestValidator(case["key"]), get_signature_algorithm(case["algorithm"])
    if validator.validate(case["url"], case["form"], signature, algorithm):
        return True
    # As twilio-agent-connect calls it for a connection: with the query in the place of a form.
    bare, _, query = case["url"].partition("?")
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    return bool(fields) and not case["form"] and validator.validate(bare, fields, signature, algorithm)


answers = []
for case in json.load(open(sys.argv[1])):
    signature = RequestValidator(case["token"]).compute_signature(*case["signed"], case["hash"])
    answers.append({"signature": signature, "good": is_good(case, signature)})
print(json.dumps(answers))
