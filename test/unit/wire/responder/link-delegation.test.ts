import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { createPair, kinds, parleyErrorOf } from '../../../support/links.ts'

// The caller of a pair is alice, the responder bob.
describe('the delegation chain of a request', () => {
  it('is passed on with the caller at its beginning and this node at its end', async () => {
    const { handlers, contexts } = createDemo()
    const pair = createPair(demo, handlers)
    await pair.unary('echo', 1)
    assert.deepEqual(contexts[0]?.chain, ['alice', 'bob/demo.echo'])
    assert.equal(contexts[0]?.envelope.chain, undefined, 'it began with its caller')
    await pair.unary('echo', 1, {
      extra: { chain: ['root', 'alice/plan.make'], traceparent: '00-1-2-01' },
      priority: 2,
    })
    assert.deepEqual(contexts[1]?.chain, ['root', 'alice/plan.make', 'bob/demo.echo'])
    assert.deepEqual(contexts[1]?.passesOn, { priority: 'high', traceparent: '00-1-2-01' })
  })

  it('that comes back for the same is refused before the handler, and the link goes on', async () => {
    const { handlers, contexts } = createDemo()
    const pair = createPair(demo, handlers)
    const chain = ['root', 'bob/demo.echo', 'alice/plan.make']
    const error = await parleyErrorOf(pair.unary('echo', 1, { extra: { chain } }))
    assert.deepEqual([error.code, error.reason, error.remote], ['STA003', 'delegation-cycle', true])
    assert.deepEqual(error.details.chain, [...chain, 'bob/demo.echo'])
    assert.equal(error.recovery, 'none')
    assert.equal(contexts.length, 0)
    assert.equal(await pair.unary('echo', 2, { extra: { chain: ['bob/demo.hold', 'alice/plan.make'] } }), 2)
    assert.deepEqual(pair.finished, ['refused STA003', 'echo ok'])
  })

  it('of a caller that leaves itself out, or writes nonsense, is refused', async () => {
    const pair = createPair(demo, createDemo().handlers)
    for (const chain of [['root'], ['alice', 'carol/plan.make'], ['alicex/plan.make']]) {
      const error = await parleyErrorOf(pair.unary('echo', 1, { extra: { chain } }))
      assert.deepEqual([error.code, error.reason], ['SEC003', 'delegation-chain'], String(chain))
    }
    const error = await parleyErrorOf(pair.unary('echo', 1, { extra: { chain: ['a b', 'alice/plan.make'] } }))
    assert.equal(error.code, 'MSG001')
    assert.equal(await pair.unary('echo', 2), 2)
    assert.equal(kinds(pair.toCaller).filter((kind) => kind === 'error').length, 4)
  })
})
