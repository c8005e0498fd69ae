/* VPP's flow hash of packets, written a second time: on bytes as they stand in memory.
   Reads lines "FAMILY CONFIG PACKET" (4 or 6, a number, hexadecimal octets from the IP header on)
   and prints the hash of each. Runs on little-endian machines, as VPP does. */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SRC = 1, DST = 2, SPORT = 4, DPORT = 8, PROTO = 16, REVERSE = 32, SYMMETRIC = 64, LABEL = 128 };

static uint16_t word16(const uint8_t *at) { uint16_t v; memcpy(&v, at, sizeof v); return v; }
static uint32_t word32(const uint8_t *at) { uint32_t v; memcpy(&v, at, sizeof v); return v; }
static uint64_t word64(const uint8_t *at) { uint64_t v; memcpy(&v, at, sizeof v); return v; }

static void swap(uint64_t *one, uint64_t *other) { uint64_t v = *one; *one = *other; *other = v; }

static uint32_t jenkins64(uint64_t x, uint64_t y, uint64_t z)
{
    x = (x - (y + z)) ^ (z >> 43); y = (y - (z + x)) ^ (x << 9);  z = (z - (x + y)) ^ (y >> 8);
    x = (x - (y + z)) ^ (z >> 38); y = (y - (z + x)) ^ (x << 23); z = (z - (x + y)) ^ (y >> 5);
    x = (x - (y + z)) ^ (z >> 35); y = (y - (z + x)) ^ (x << 49); z = (z - (x + y)) ^ (y >> 11);
    x = (x - (y + z)) ^ (z >> 12); y = (y - (z + x)) ^ (x << 18); z = (z - (x + y)) ^ (y >> 22);
    return (uint32_t) z;
}

static uint32_t turn(uint32_t v, int by) { return (v << by) | (v >> (32 - by)); }

static uint32_t lookup3(uint32_t x, uint32_t y, uint32_t z)
{
    x -= z; x ^= turn(z, 4);  z += y;
    y -= x; y ^= turn(x, 6);  x += z;
    z -= y; z ^= turn(y, 8);  y += x;
    x -= z; x ^= turn(z, 16); z += y;
    y -= x; y ^= turn(x, 19); x += z;
    z -= y; z ^= turn(y, 4);  y += x;

    z ^= y; z -= turn(y, 14);
    x ^= z; x -= turn(z, 11);
    y ^= x; y -= turn(x, 25);
    z ^= y; z -= turn(y, 16);
    x ^= z; x -= turn(z, 4);
    y ^= x; y -= turn(x, 14);
    z ^= y; z -= turn(y, 24);
    return z;
}

static uint32_t hash(int family, unsigned config, const uint8_t *packet)
{
    const uint8_t *ports = packet + (family == 6 ? 40 : 20);
    uint8_t protocol = packet[family == 6 ? 6 : 9];
    uint64_t x, y, from = 0, to = 0, z;

    if (family == 6) {
        x = word64(packet + 8) ^ word64(packet + 16);
        y = word64(packet + 24) ^ word64(packet + 32);
    } else {
        x = word32(packet + 12);
        y = word32(packet + 16);
    }
    if (!(config & SRC)) x = 0;
    if (!(config & DST)) y = 0;
    if (protocol == 6 || protocol == 17) {
        if (config & SPORT) from = word16(ports);
        if (config & DPORT) to = word16(ports + 2);
    }
    if (config & REVERSE) swap(&x, &y);
    if (config & SYMMETRIC) {
        if (x > y) swap(&x, &y);
        if (from > to) swap(&from, &to);
    }
    if (config & PROTO) y ^= protocol;
    z = config & REVERSE ? from << 16 | to : to << 16 | from;
    if (family == 4) return lookup3((uint32_t) x, (uint32_t) y, (uint32_t) z);
    if (config & LABEL) z ^= (packet[1] & 15u) << 16 | packet[2] << 8 | packet[3];
    return jenkins64(x, y, z);
}

int main(void)
{
    int family;
    unsigned config, octet;
    char text[256];
    uint8_t packet[128];

    while (scanf("%d %u %255s", &family, &config, text) == 3) {
        size_t length = strlen(text) / 2;
        for (size_t i = 0; i < length; i++) {
            sscanf(text + 2 * i, "%2x", &octet);
            packet[i] = (uint8_t) octet;
        }
        printf("%u\n", hash(family, config, packet));
    }
    return 0;
}
