import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ParleyError } from '../../../protocols/errors.ts'
import {
  chainThrough,
  hopOf,
  MAX_HOPS,
  requireChain,
  requireDepth,
  requireNoCycle,
  wouldCycle,
} from '../../../protocols/wire/delegation-chain.ts'

const codeOf = (fn: () => void): string => {
  try {
    fn()
  } catch (error) {
    if (error instanceof ParleyError) return [error.code, error.reason ?? ''].join(' ').trim()
    throw error
  }
  return 'taken'
}

describe('a delegation chain', () => {
  it('begins with the one that asked, and grows by what each node was asked for', () => {
    const first = chainThrough(undefined, 'root', hopOf('a', 'plan.make'))
    assert.deepEqual(first, ['root', 'a/plan.make'])
    assert.deepEqual(chainThrough(first, 'a', hopOf('b', 'plan.price')), ['root', 'a/plan.make', 'b/plan.price'])
    assert.deepEqual(chainThrough([], 'root', 'a/plan.make'), first)
  })

  it('is a cycle where a peer is asked for the same again, and none where it is asked for something else', () => {
    const chain = ['root', 'a/plan.make', 'b/plan.price']
    assert.equal(wouldCycle(chain, 'a', 'plan.make'), true)
    assert.equal(wouldCycle(chain, 'a', 'plan.price'), false, 'that is how b calls back')
    assert.equal(wouldCycle(chain, 'c', 'plan.make'), false)
    assert.equal(wouldCycle(chain, 'root', 'plan.make'), false, 'it asked, and was asked for nothing')
    assert.throws(() => requireNoCycle(chain, 'a', 'plan.make'), {
      code: 'STA003',
      details: { reason: 'delegation-cycle', chain: [...chain, 'a/plan.make'] },
    })
  })

  it('has at most 32 hops', () => {
    const hops = (count: number) => Array.from({ length: count }, (_, i) => `p${i}/x.y`)
    requireDepth(hops(MAX_HOPS))
    assert.throws(() => requireDepth(hops(MAX_HOPS + 1)), {
      code: 'STA003',
      details: { reason: 'delegation-depth', chain: hops(MAX_HOPS), limit: MAX_HOPS },
    })
    assert.equal(
      codeOf(() => requireChain(hops(32), 'p31', 'me', 'x.y')),
      'taken',
    )
    assert.equal(
      codeOf(() => requireChain(hops(33), 'p32', 'me', 'x.y')),
      'STA003 delegation-depth',
    )
  })

  it('is refused where its last hop is not who sent it', () => {
    assert.equal(
      codeOf(() => requireChain(['root', 'a/x.y'], 'b', 'me', 'x.y')),
      'SEC003 delegation-chain',
    )
    assert.equal(
      codeOf(() => requireChain(['b/x.y', 'a/x.y'], 'b', 'me', 'x.y')),
      'SEC003 delegation-chain',
    )
    assert.equal(
      codeOf(() => requireChain([], 'b', 'me', 'x.y')),
      'SEC003 delegation-chain',
    )
    assert.equal(
      codeOf(() => requireChain(['b'], 'b', 'me', 'x.y')),
      'taken',
    )
  })

  it('is refused where a hop is none', () => {
    for (const hop of ['', '/x.y', 'a/', 'a b/x.y', 'a/x y', 'ä/x.y', `a/${'x'.repeat(128)}`, `${'a'.repeat(129)}/x`])
      assert.equal(
        codeOf(() => requireChain([hop, 'b/x.y'], 'b', 'me', 'x.y')),
        'MSG001',
        hop,
      )
    const longest = `${'a'.repeat(128)}/${'x'.repeat(127)}`
    assert.equal(
      codeOf(() => requireChain([longest, 'b/x.y'], 'b', 'me', 'x.y')),
      'taken',
    )
  })

  it('of any content is taken or refused with one of its errors, and refused where this node stands in it', () => {
    const known = ['taken', 'MSG001', 'SEC003 delegation-chain', 'STA003 delegation-depth', 'STA003 delegation-cycle']
    const hop = fc.oneof(fc.string(), fc.constantFrom('me/x.y', 'me', 'b', 'b/x.y', 'root', 'a/x.y'))
    fc.assert(
      fc.property(fc.array(hop, { maxLength: 40 }), (chain) => {
        const outcome = codeOf(() => requireChain(chain, 'b', 'me', 'x.y'))
        assert.ok(known.includes(outcome), outcome)
        if (chain.includes('me/x.y')) assert.notEqual(outcome, 'taken')
      }),
    )
  })
})
