import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { recoveredMeshId } from '../../../../protocols/consensus/bootstrap/founding-record.ts'
import {
  MAX_COUNT,
  MAX_VOTERS,
  type Proof,
  ProofSchema,
  proofDigest,
  signedBytes,
  statementOf,
} from '../../../../protocols/consensus/proof/statement.ts'
import { memberOf, membersOf, proofOf, sha256 } from './signed.ts'

const proof = proofOf('m', 'epoch', [3, 4], membersOf('abc'), membersOf('ab'))

test('what is signed is one JSON array, with the list of voters as a digest', () => {
  const [head, ...rest] = JSON.parse(new TextDecoder().decode(signedBytes(statementOf(sha256, proof))))
  assert.equal(head, 'parley/proof/1')
  assert.deepEqual(rest.slice(0, 5), ['m', 'epoch', 3, 4, memberOf('a')])
  assert.match(rest[5], /^[0-9a-f]{64}$/)
  assert.match(rest[6], /^[0-9a-f]{64}$/)
})

test('property: another statement has other bytes', () => {
  const arbitrary = fc.record({
    kind: fc.constantFrom('configuration', 'epoch', 'anchor') as fc.Arbitrary<Proof['kind']>,
    at: fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })),
    voters: fc.uniqueArray(fc.nat(5).map(memberOf), { minLength: 1, maxLength: 4 }).map((list) => list.sort()),
  })
  fc.assert(
    fc.property(arbitrary, arbitrary, (a, b) => {
      const [one, other] = [a, b].map(({ kind, at, voters }) => proofDigest(sha256, proofOf('m', kind, at, voters, [])))
      assert.equal(one === other, JSON.stringify(a) === JSON.stringify(b))
    }),
  )
})

test('what cannot be a proof is refused where it arrives', () => {
  const bad = (more: object): void => assert.equal(ProofSchema.safeParse({ ...proof, ...more }).success, false)
  assert.equal(ProofSchema.safeParse(proof).success, true)
  bad({ voters: membersOf('abc').reverse() })
  bad({ voters: [...membersOf('abc'), memberOf('c')] })
  bad({ voters: [] })
  bad({ voters: ['no-member'] })
  bad({ leader: memberOf('z') })
  bad({ leader: '' })
  bad({ kind: 'configuration' })
  bad({ kind: 'other' })
  bad({ term: 0 })
  bad({ index: 1.5 })
  bad({ signatures: [proof.signatures[0], proof.signatures[0]] })
  bad({ signatures: [{ member: memberOf('a'), signature: 'short' }] })
})

test('limits: a term, an index and a number of voters at the limit, and one past it', () => {
  const of = (more: object): boolean => ProofSchema.safeParse({ ...proof, ...more }).success
  assert.equal(of({ term: MAX_COUNT, index: MAX_COUNT }), true)
  assert.equal(of({ term: MAX_COUNT + 1 }), false)
  assert.equal(of({ index: MAX_COUNT + 1 }), false)
  const many = (count: number): string[] => Array.from({ length: count }, (_, i) => memberOf(i)).sort()
  assert.equal(of({ voters: many(MAX_VOTERS), leader: memberOf(0) }), true)
  assert.equal(of({ voters: many(MAX_VOTERS + 1), leader: memberOf(0) }), false)
})

test('property: nothing that a peer sends makes a schema throw', () => {
  fc.assert(fc.property(fc.anything(), (value) => void ProofSchema.safeParse(value)))
})

test('a recovered mesh has the id that older versions gave it', () => {
  const recovery = { before: 'a'.repeat(32), member: memberOf('a'), nonce: '00'.repeat(16) }
  assert.equal(recoveredMeshId(sha256, recovery).length, 32)
  assert.notEqual(recoveredMeshId(sha256, { ...recovery, nonce: '01'.repeat(16) }), recoveredMeshId(sha256, recovery))
})
