"""Verifies the receipt of an erasure with the library jwcrypto, as docs/ERASURE.md shows it.

usage: verify.py URL
"""

import json
import sys
import urllib.request

from jwcrypto import jwk, jws

url = sys.argv[1]


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", data, {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def payload(signature, key):
    signed = jws.JWS()
    signed.allowed_algs = ["EdDSA"]
    signed.deserialize(signature, key)
    return json.loads(signed.payload), signed.jose_header


def refused(signature, key):
    try:
        payload(signature, key)
    except jws.InvalidJWSSignature:
        return True
    return False


partner = {"businessPartnerId": "Müller & Söhne \"KG\""}
written = call("/processinglogs/s/CURATION_LOG", {"results": [dict(partner, externalId="1"), {"externalId": "1"}]})
assert written["created"] == 2, written
receipt = call("/erasure", partner)
assert receipt["results"] == 1 and receipt["subject"] == partner, receipt
assert receipt["sets"] == [{"storageId": "s", "processingLogId": "CURATION_LOG", "results": 1}], receipt

key = jwk.JWK(**call("/erasure/key"))
signature = receipt.pop("signature")
told, header = payload(signature, key)
assert told == receipt, told
assert key.thumbprint() == receipt["keyId"] == header["kid"], header
assert (header["alg"], header["typ"]) == ("EdDSA", "erasure-receipt+jws"), header

start, body, end = signature.split(".")
assert refused(".".join([start, body[:-2] + ("AA" if body[-2:] != "AA" else "BA"), end]), key), "another receipt"
assert refused(signature, jwk.JWK.generate(kty="OKP", crv="Ed25519")), "another key"
print("erasure: the receipt was verified by jwcrypto")
