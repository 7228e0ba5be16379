import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import {
  emptyChain,
  hasNoProof,
  isLinkable,
  MAX_LINKS,
  newestConfiguration,
  type ProofChain,
  provenTermOf,
  votersAt,
} from '../../../../protocols/consensus/proof/proof-chain.ts'
import { majority } from '../../../../protocols/consensus/raft/quorum.ts'
import { founders, memberOf, membersOf, proofOf, shownTo } from './signed.ts'

const verdict = (chain: ProofChain, ...rest: Parameters<typeof proofOf>): string =>
  shownTo(chain, proofOf(...rest)).verdict

test('the founding voters are proven by the mesh id, and an epoch by a majority of them', () => {
  const { meshId, chain } = founders('abcd')
  assert.deepEqual(newestConfiguration(chain)?.voters, membersOf('abc'), 'three of four vote first')
  const epoch = (signers: string, voters = 'abc') =>
    proofOf(meshId, 'epoch', [2, 3], membersOf(voters), membersOf(signers))
  assert.equal(shownTo(chain, epoch('a')).verdict, 'too-few')
  assert.equal(shownTo(chain, epoch('ad')).verdict, 'unknown-signer', 'd does not vote')
  assert.equal(shownTo(chain, epoch('ab'), membersOf('a')).verdict, 'bad-signature')
  const taken = shownTo(chain, epoch('ab'))
  assert.equal(taken.verdict, 'taken')
  assert.equal(provenTermOf(taken.chain), 2)
  assert.equal(shownTo(taken.chain, epoch('bc')).verdict, 'known', 'whoever signed it')
})

test('a stranger proves nothing, whatever it claims to be', () => {
  const { meshId, chain } = founders('abc')
  const evil = membersOf('xyz')
  assert.equal(verdict(chain, meshId, 'epoch', [1_000_000, 9], evil, evil), 'too-few')
  assert.equal(verdict(chain, meshId, 'configuration', [2, 9], evil, evil), 'too-few')
  assert.equal(verdict(chain, meshId, 'configuration', [2, 9], membersOf('axyz'), membersOf('axyz')), 'too-few')
  assert.equal(verdict(chain, 'another', 'epoch', [2, 9], membersOf('abc'), membersOf('abc')), 'other-mesh')
  assert.equal(verdict(emptyChain(meshId), meshId, 'epoch', [2, 9], evil, evil), 'no-beginning')
  assert.equal(verdict(chain, meshId, 'anchor', [2, 9], evil, evil), 'not-pinned')
})

test('every change of one voter between one and five can be signed by the majority that decided it', () => {
  for (const [before, next] of [
    ['a', 'ab'],
    ['ab', 'abc'],
    ['abc', 'abcd'],
    ['abcd', 'abcde'],
    ['abcde', 'abcd'],
    ['abcd', 'acd'],
    ['abc', 'ab'],
    ['ab', 'b'],
  ] as const) {
    const { meshId } = founders(before)
    const chain: ProofChain = {
      ...emptyChain(meshId),
      pinned: proofOf(meshId, 'anchor', [1, 1], membersOf(before), []),
    }
    const least = majority(next.length)
    for (let bits = 0; bits < 2 ** next.length; bits += 1) {
      const signers = [...next].filter((_, i) => (bits & (1 << i)) !== 0).join('')
      const { verdict: said } = shownTo(
        chain,
        proofOf(meshId, 'configuration', [1, 2], membersOf(next), membersOf(signers)),
      )
      assert.equal(said, signers.length >= least ? 'taken' : 'too-few', `${before} to ${next} by ${signers}`)
    }
  }
})

test('a link over several changes needs half of the voters before', () => {
  const { meshId, chain } = founders('abc')
  const next = membersOf('adefg')
  assert.equal(verdict(chain, meshId, 'configuration', [2, 9], next, next), 'too-few', 'one of three')
  const other = membersOf('abdef')
  assert.equal(verdict(chain, meshId, 'configuration', [2, 9], other, membersOf('adef')), 'too-few')
  assert.equal(verdict(chain, meshId, 'configuration', [2, 9], other, membersOf('abd')), 'taken')
  assert.equal(isLinkable(chain, other), true)
  assert.equal(isLinkable(chain, next), false)
})

test('an epoch of other voters is a link; of a place before the newest voters it needs them too', () => {
  const { meshId, chain } = founders('abc')
  const bridge = shownTo(chain, proofOf(meshId, 'epoch', [4, 20], membersOf('bcd'), membersOf('bc')))
  assert.equal(bridge.verdict, 'taken')
  assert.deepEqual(newestConfiguration(bridge.chain)?.voters, membersOf('bcd'))
  assert.equal(bridge.chain.epoch?.term, 4)
  const linked = shownTo(chain, proofOf(meshId, 'configuration', [3, 20], membersOf('abcd'), membersOf('abd'))).chain
  assert.equal(verdict(linked, meshId, 'epoch', [3, 10], membersOf('abc'), membersOf('ab')), 'taken')
  const later = shownTo(linked, proofOf(meshId, 'configuration', [3, 21], membersOf('bcd'), membersOf('bc'))).chain
  assert.equal(verdict(later, meshId, 'epoch', [3, 10], membersOf('abc'), membersOf('bc')), 'taken')
  const last = shownTo(later, proofOf(meshId, 'configuration', [3, 22], membersOf('bcde'), membersOf('bcd'))).chain
  const put = shownTo(last, proofOf(meshId, 'configuration', [3, 23], membersOf('cde'), membersOf('cd'))).chain
  assert.equal(
    verdict(put, meshId, 'epoch', [3, 10], membersOf('abc'), membersOf('ab')),
    'too-few',
    'they were put out',
  )
  assert.equal(votersAt(linked, 19)?.length, 3)
  assert.equal(votersAt(linked, 20)?.length, 4)
})

test('what is older is refused, and another history that is signed is told from it', () => {
  const { meshId, chain } = founders('abc')
  const step = (at: ProofChain, ...rest: Parameters<typeof proofOf>): ProofChain => {
    const taken = shownTo(at, proofOf(...rest))
    assert.equal(taken.verdict, 'taken')
    return taken.chain
  }
  let one = step(chain, meshId, 'configuration', [2, 10], membersOf('abcd'), membersOf('abd'))
  one = step(one, meshId, 'epoch', [5, 30], membersOf('abcd'), membersOf('bcd'))
  const all = membersOf('abcd')
  assert.equal(verdict(one, meshId, 'epoch', [4, 20], all, all), 'lower')
  assert.equal(verdict(one, meshId, 'configuration', [2, 9], membersOf('ab'), membersOf('ab')), 'lower')
  assert.equal(verdict(one, meshId, 'configuration', [2, 10], all, all), 'known')
  const other = { leader: memberOf('b') }
  assert.equal(verdict(one, meshId, 'epoch', [5, 31], all, all, other), 'contradicting', 'one leads a term')
  assert.equal(verdict(one, meshId, 'epoch', [5, 29], all, all), 'known', 'it may be begun again')
  assert.equal(verdict(one, meshId, 'configuration', [2, 10], membersOf('abce'), membersOf('abc')), 'contradicting')
  assert.equal(verdict(one, meshId, 'configuration', [4, 40], membersOf('abc'), membersOf('abc')), 'contradicting')
  const bare = proofOf(meshId, 'configuration', [4, 40], membersOf('abc'), membersOf('abc'))
  assert.equal(shownTo(one, bare, []).verdict, 'bad-signature', 'unsigned, it is no alarm')
  // Those who were put out sign among themselves.
  one = step(one, meshId, 'configuration', [5, 41], membersOf('bcd'), membersOf('bcd'))
  one = step(one, meshId, 'configuration', [5, 42], membersOf('bcde'), membersOf('bcde'))
  one = step(one, meshId, 'configuration', [5, 43], membersOf('cde'), membersOf('cde'))
  assert.equal(verdict(one, meshId, 'configuration', [9, 99], membersOf('ab'), membersOf('ab')), 'too-few')
})

test('an anchor is pinned once, only where that is allowed and nothing is proven', () => {
  const chain = emptyChain('m'.repeat(32))
  const anchor = proofOf(chain.meshId, 'anchor', [7, 70], membersOf('abc'), membersOf('ab'))
  assert.equal(shownTo(chain, anchor).verdict, 'not-pinned')
  assert.equal(
    shownTo(chain, { ...anchor, signatures: anchor.signatures.slice(1) }, undefined, true).verdict,
    'too-few',
  )
  const { chain: pinned, verdict: said } = shownTo(chain, anchor, undefined, true)
  assert.equal(said, 'taken')
  assert.equal(hasNoProof(pinned), false)
  const other = proofOf(chain.meshId, 'anchor', [8, 80], membersOf('xyz'), membersOf('xyz'))
  assert.equal(shownTo(pinned, other, undefined, true).verdict, 'too-few')
  assert.equal(shownTo(pinned, anchor, undefined, true).verdict, 'known')
  const linked = proofOf(chain.meshId, 'anchor', [8, 80], membersOf('abd'), membersOf('ab'))
  assert.equal(shownTo(pinned, linked, undefined, false).verdict, 'taken', 'where it links it is a link')
})

test(`${MAX_LINKS} links are kept, and with one more the older half goes; the chain goes on from there`, () => {
  const { meshId, chain } = founders('ab')
  let one = chain
  const next = (i: number) => (i % 2 === 0 ? 'ab' : 'a')
  const add = (i: number): void => {
    const voters = membersOf(next(i))
    const taken = shownTo(one, proofOf(meshId, 'configuration', [1, i + 2], voters, voters))
    assert.equal(taken.verdict, 'taken')
    one = taken.chain
  }
  // Founded by two, one votes first.
  for (let i = 0; i < MAX_LINKS; i += 1) add(i)
  assert.equal(one.links.length, MAX_LINKS)
  add(MAX_LINKS)
  assert.equal(one.links.length, MAX_LINKS / 2 + 1)
  assert.equal(one.pinned?.index, MAX_LINKS / 2 + 1)
  add(MAX_LINKS + 1)
  assert.equal(votersAt(one, 5), undefined, 'before the chain begins')
})

/** A history as an autopilot makes it: one voter more or less at each step, never none and never more than six. */
const histories = fc
  .array(fc.record({ pick: fc.nat(11), signers: fc.nat(), begins: fc.boolean() }), { minLength: 1, maxLength: 40 })
  .map((steps) => {
    let voters = membersOf('abc')
    let [term, index] = [1, 1]
    return steps.map(({ pick, signers, begins }) => {
      const member = memberOf(pick)
      index += 1
      if (begins) term += 1
      const before = voters
      if (!begins) {
        if (voters.includes(member) && voters.length > 1) voters = voters.filter((id) => id !== member)
        else if (!voters.includes(member) && voters.length < 6) voters = [...voters, member].sort()
        else if (voters.length > 1) voters = voters.slice(1)
      }
      return { kind: begins ? ('epoch' as const) : ('configuration' as const), term, index, before, voters, signers }
    })
  })

/** Some majority of these. */
const majorityOf = (voters: readonly string[], seed: number): string[] => {
  const start = seed % voters.length
  return [...voters.slice(start), ...voters.slice(0, start)].slice(0, majority(voters.length))
}

test('property: every honest history of changes of one voter is taken, whichever majorities signed it', () => {
  fc.assert(
    fc.property(histories, (history) => {
      const { meshId, chain } = founders('abc')
      let one = chain
      for (const { kind, term, index, voters, signers } of history) {
        const proof = proofOf(meshId, kind, [term, index], voters, majorityOf(voters, signers))
        const taken = shownTo(one, proof)
        assert.ok(['taken', 'known'].includes(taken.verdict), taken.verdict)
        one = taken.chain
        assert.deepEqual(newestConfiguration(one)?.voters, voters)
      }
    }),
  )
})

test('property: whoever holds fewer than half of the newest voters never moves the chain, whatever it shows', () => {
  const anything = fc.record({
    kind: fc.constantFrom('configuration', 'epoch', 'anchor') as fc.Arbitrary<'configuration' | 'epoch' | 'anchor'>,
    term: fc.integer({ min: 1, max: 60 }),
    index: fc.integer({ min: 1, max: 60 }),
    voters: fc.uniqueArray(fc.nat(14).map(memberOf), { minLength: 1, maxLength: 8 }),
  })
  fc.assert(
    fc.property(histories, fc.array(anything, { maxLength: 30 }), fc.nat(), (history, shown, seed) => {
      const { meshId, chain } = founders('abc')
      let one = chain
      for (const { kind, term, index, voters, signers } of history)
        one = shownTo(one, proofOf(meshId, kind, [term, index], voters, majorityOf(voters, signers))).chain
      const head = newestConfiguration(one)?.voters ?? []
      const start = seed % head.length
      const lost = [...head.slice(start), ...head.slice(0, start)].slice(0, Math.ceil(head.length / 2) - 1)
      const was = [newestConfiguration(one), one.epoch]
      for (const { kind, term, index, voters } of shown) {
        // Strangers, all who ever were voters, and the few of now who lie sign whatever they want.
        const good = voters.filter((id) => !head.includes(id) || lost.includes(id))
        const taken = shownTo(one, proofOf(meshId, kind, [term, index], voters, voters), good, !hasNoProof(one))
        assert.notEqual(taken.verdict, 'taken')
        one = taken.chain
      }
      assert.deepEqual([newestConfiguration(one), one.epoch], was)
    }),
  )
})
