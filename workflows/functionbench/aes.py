"""AES-128 in counter mode, in plain Python: arithmetic and list access, nothing else (FIPS 197, SP 800-38A)."""

from actorfaas import function

BLOCK_BYTES = 16
ROUNDS = 10


def times_two(value: int) -> int:
    """Multiply by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1."""
    doubled = value << 1
    return (doubled ^ 0x11B) if doubled & 0x100 else doubled


def multiply(a: int, b: int) -> int:
    """Multiply in GF(2^8)."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = times_two(a)
        b >>= 1
    return product


def substitution_box() -> list[int]:
    """The S-box: multiplicative inverse, then the affine map."""
    box = []
    for value in range(256):
        inverse = next((other for other in range(256) if multiply(value, other) == 1), 0)
        rotated = inverse
        result = inverse ^ 0x63
        for _ in range(4):
            rotated = ((rotated << 1) | (rotated >> 7)) & 0xFF
            result ^= rotated
        box.append(result)
    return box


SBOX = substitution_box()
DOUBLE = [times_two(value) for value in range(256)]
# ShiftRows as one permutation of the sixteen bytes, which are stored column by column
SHIFTED = [(4 * (column + row) + row) % 16 for column in range(4) for row in range(4)]


def expand_key(key: bytes) -> list[list[int]]:
    """The eleven round keys of a 16-byte key."""
    words = [list(key[i : i + 4]) for i in range(0, BLOCK_BYTES, 4)]
    constant = 1
    for i in range(4, 4 * (ROUNDS + 1)):
        word = words[i - 1]
        if i % 4 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= constant
            constant = times_two(constant)
        words.append([a ^ b for a, b in zip(words[i - 4], word, strict=True)])
    return [[byte for word in words[i : i + 4] for byte in word] for i in range(0, len(words), 4)]


def mix_columns(state: list[int]) -> list[int]:
    """MixColumns on all four columns."""
    mixed = []
    for i in range(0, BLOCK_BYTES, 4):
        column = state[i : i + 4]
        every = column[0] ^ column[1] ^ column[2] ^ column[3]
        mixed += [column[j] ^ every ^ DOUBLE[column[j] ^ column[(j + 1) % 4]] for j in range(4)]
    return mixed


def encrypt_block(block: bytes, round_keys: list[list[int]]) -> bytes:
    """One block of 16 bytes."""
    state = [a ^ b for a, b in zip(block, round_keys[0], strict=True)]
    for round_number in range(1, ROUNDS + 1):
        state = [SBOX[state[i]] for i in SHIFTED]
        if round_number < ROUNDS:
            state = mix_columns(state)
        state = [a ^ b for a, b in zip(state, round_keys[round_number], strict=True)]
    return bytes(state)


def counter_mode(data: bytes, key: bytes, counter: int) -> bytes:
    """Encrypt (or decrypt) `data` with the key stream that starts at `counter`."""
    round_keys = expand_key(key)
    result = bytearray()
    for offset in range(0, len(data), BLOCK_BYTES):
        stream = encrypt_block((counter % (1 << 128)).to_bytes(BLOCK_BYTES, "big"), round_keys)
        result += bytes(a ^ b for a, b in zip(data[offset : offset + BLOCK_BYTES], stream, strict=False))
        counter += 1
    return bytes(result)


@function
def aes_encrypt(event: dict) -> dict:
    """Encrypt `text` and decrypt it again; the key is 32 hexadecimal digits."""
    key = bytes.fromhex(event["key"])
    if len(key) != BLOCK_BYTES:
        raise ValueError("'key' must be 32 hexadecimal digits")
    text = event["text"] * event.get("repeat", 1)
    cipher = counter_mode(text.encode(), key, 1)
    return {
        "cipher": cipher[:32].hex(),
        "bytes": len(cipher),
        "same": counter_mode(cipher, key, 1) == text.encode(),
    }
