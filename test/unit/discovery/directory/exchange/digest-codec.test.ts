/** Digests as bytes and back. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { createDigestCodec } from '../../../../../discovery/directory/exchange/digest-codec.ts'
import { isParleyError } from '../../../../../protocols/errors.ts'
import { digestOf, type Entry, entriesOf } from '../../../../support/directory-tables.ts'

const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const MOST = 1_000
const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const peer = fc.string({ minLength: 1, maxLength: 60 }).filter((id) => !id.startsWith('#'))
const entries = fc.uniqueArray(fc.tuple(peer, number, number, number), { selector: ([id]) => id, maxLength: 30 })

test('what is packed is unpacked by whoever knows the peers', () => {
  fc.assert(
    fc.property(entries, (list) => {
      const [here, there] = [createDigestCodec({ hash }), createDigestCodec({ hash })]
      const digest: Entry[] = list
      there.pack(digestOf(digest))
      assert.deepEqual(entriesOf(there.unpack(here.pack(digestOf(digest)), MOST)), digest)
      const peers = digest.map(([id]) => id)
      assert.deepEqual(there.unpackPeers(here.packPeers(peers), MOST), peers)
      const ages = digest.map(([id, , , ageMs]): [string, number] => [id, ageMs])
      assert.deepEqual(there.unpackAges(here.packAges(ages), MOST), ages)
    }),
  )
})

test('a peer that is not known is called by its key, and asked for by it', () => {
  const [here, there] = [createDigestCodec({ hash }), createDigestCodec({ hash })]
  const digest: Entry[] = [['stranger', 1, 2, 3]]
  const [read] = entriesOf(there.unpack(here.pack(digestOf(digest)), MOST))
  assert.match(read?.[0] ?? '', /^#\d+$/)
  assert.deepEqual(read?.slice(1), [1, 2, 3])
  assert.deepEqual(here.unpackPeers(there.packPeers([read?.[0] ?? '']), MOST), ['stranger'])
})

test('an entry of a peer takes little more than its numbers', () => {
  const digest: Entry[] = [['12D3KooWRBy97UB99e3J6hiPesre1MZeuNQvfan4gBziswrRJsNK', 1_716_239_022_000, 3, 1_200]]
  assert.equal(createDigestCodec({ hash }).pack(digestOf(digest)).length, 6 + 6 + 1 + 2)
})

test('bytes that are cut off or of too many entries are refused', () => {
  const packed = createDigestCodec({ hash })
  const bytes = packed.pack(
    digestOf([
      ['a', 1, 2, 300],
      ['b', 1, 2, 300],
    ]),
  )
  for (let end = 1; end < bytes.length; end += 1) {
    if (end === bytes.length / 2) continue
    assert.throws(
      () => entriesOf(packed.unpack(bytes.subarray(0, end), MOST)),
      (error) => isParleyError(error, 'MSG003'),
    )
  }
  const unpack = (from: Uint8Array, most: number) => entriesOf(packed.unpack(from, most))
  for (const read of [unpack, packed.unpackPeers, packed.unpackAges]) {
    assert.throws(
      () => read(bytes, 1),
      (error) => isParleyError(error, 'MSG003'),
    )
  }
})

test('more peers than keys are kept for are packed as well', () => {
  const packed = createDigestCodec({ hash })
  for (let n = 0; n < 33_000; n += 1) packed.packPeers([`peer-${n}`])
  const digest: Entry[] = [['peer-1', 1, 1, 1]]
  assert.deepEqual(entriesOf(packed.unpack(packed.pack(digestOf(digest)), MOST)), digest)
})

test('a sum is the same for the same peers and versions in any order, whatever their ages, and no other', () => {
  const packed = createDigestCodec({ hash })
  const sum = (list: readonly Entry[]) => Buffer.from(packed.checksum(digestOf(list))).toString('hex')
  fc.assert(
    fc.property(entries, fc.nat(), (list, at) => {
      const moved = list.map(([id, incarnation, version, ageMs]): Entry => [id, incarnation, version, ageMs + 1])
      assert.equal(sum(moved.reverse()), sum(list))
      const one = list[at % Math.max(1, list.length)]
      if (one === undefined) return
      const others = list.filter((entry) => entry !== one)
      const [id, incarnation, version] = one
      assert.notEqual(sum(others), sum(list))
      assert.notEqual(sum([...others, [id, incarnation, version === 0 ? 1 : version - 1, 0]]), sum(list))
      assert.notEqual(sum([...others, [id, incarnation === 0 ? 1 : incarnation - 1, version, 0]]), sum(list))
      assert.notEqual(sum([...others, [`${id}'`, incarnation, version, 0]]), sum(list))
    }),
  )
})

test('sums of a mesh of 1,000 agents differ after any single change of 20,000', () => {
  const packed = createDigestCodec({ hash })
  const list = Array.from({ length: 1_000 }, (_, n): Entry => [`peer-${n}`, 1_763_000_000_000 + n, 1, 0])
  const seen = new Set<string>()
  for (let n = 0; n < 20_000; n += 1) {
    const entry = list[n % 1_000]
    if (entry) entry[2] += 1
    seen.add(Buffer.from(packed.checksum(digestOf(list))).toString('hex'))
  }
  assert.equal(seen.size, 20_000)
})
