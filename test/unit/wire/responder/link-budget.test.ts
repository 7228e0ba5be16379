import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Amounts, isNothing } from '../../../../protocols/budget/amounts.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { neverHandled } from '../../../../protocols/wire/caller/retry-policy.ts'
import { createDemo, demo } from '../../../support/demo-protocol.ts'
import { createPair, parleyErrorOf } from '../../../support/links.ts'

const budget = { amounts: { tokens: 100, fanOut: 2 }, depth: 3, leftMs: 5_000 }

// The caller of a pair is alice, the responder bob.
describe('the budget of a request', () => {
  it('is spent by the handler, and what is left comes back with the answer', async () => {
    const { handlers, contexts } = createDemo()
    const pair = createPair(demo, {
      ...handlers,
      echo(input, context) {
        contexts.push(context)
        context.budget?.spend({ tokens: 30 })
        return input
      },
    })
    const told: Amounts[] = []
    await pair.unary('echo', 1, { extra: { budget }, onRemainder: (left) => told.push(left) })
    assert.deepEqual<Amounts[]>(told, [{ tokens: 70, fanOut: 2 }])
    const slice = contexts[0]?.budget
    assert.equal(slice?.limits.depth, 3)
    assert.equal(slice?.isClosed(), true, 'nothing is spent of it after the answer')
    assert.deepEqual(contexts[0]?.envelope.budget, { tokens: 100, fanOut: 2, depth: 3, deadline: 5_000 })
    await pair.unary('echo', 2, { onRemainder: (left) => told.push(left) })
    assert.equal(told.length, 1, 'a request without one has none')
    assert.equal(contexts[1]?.budget, undefined)
  })

  it('comes back whole where the handler did not look at it, or nobody had it', async () => {
    const pair = createPair(demo, createDemo().handlers)
    const told: Amounts[] = []
    const onRemainder = (left: Amounts): void => void told.push(left)
    await pair.unary('echo', 1, { extra: { budget }, onRemainder })
    const chain = ['bob/demo.echo', 'alice/plan.make']
    const error = await parleyErrorOf(pair.unary('echo', 1, { extra: { budget, chain }, onRemainder }))
    assert.equal(error.reason, 'delegation-cycle')
    assert.deepEqual<Amounts[]>(told, [budget.amounts, budget.amounts])
  })

  it('comes back with an error, less what was spent and what is still reserved', async () => {
    const { handlers } = createDemo()
    const pair = createPair(demo, {
      ...handlers,
      echo(_input, { budget: slice }) {
        slice?.spend({ tokens: 10 })
        slice?.reserve({ tokens: 5 })
        slice?.split({ tokens: 20 }, {})
        throw new ParleyError('APP001', 'it failed half way')
      },
    })
    const told: Amounts[] = []
    const error = await parleyErrorOf(
      pair.unary('echo', 1, { extra: { budget }, onRemainder: (left) => told.push(left) }),
    )
    assert.equal(error.code, 'APP001')
    assert.deepEqual(told, [{ tokens: 65, fanOut: 2 }])
  })

  it('that is nothing is no freedom', async () => {
    const { handlers } = createDemo()
    const pair = createPair(demo, {
      ...handlers,
      echo(input, { budget: slice }) {
        assert.ok(slice !== undefined && isNothing(slice.remaining()))
        slice.spend({ tokens: 1 })
        return input
      },
    })
    const none = { amounts: { tokens: 0, cost: 0, fanOut: 0 }, depth: 0 }
    const error = await parleyErrorOf(pair.unary('echo', 1, { extra: { budget: none } }))
    assert.deepEqual([error.code, error.reason, error.details.left], ['COM003', 'budget-exhausted', 0])
  })

  it('of somebody who writes what cannot be is bound by what can', async () => {
    const { handlers, contexts } = createDemo()
    const pair = createPair(demo, handlers)
    const odd = { amounts: { tokens: Number.MAX_SAFE_INTEGER }, depth: 9_999, leftMs: Number.MAX_SAFE_INTEGER - 1 }
    const told: Amounts[] = []
    assert.equal(await pair.unary('echo', 1, { extra: { budget: odd }, onRemainder: (left) => told.push(left) }), 1)
    const slice = contexts[0]?.budget
    assert.equal(slice?.limits.depth, 16)
    assert.ok((slice?.limits.deadlineAt ?? 0) < Number.MAX_SAFE_INTEGER / 2)
    assert.deepEqual<Amounts[]>(told, [{ tokens: Number.MAX_SAFE_INTEGER - 1 }])
  })

  it('makes busy of a handler that ran something else than busy of one that did not', async () => {
    const busy = (details = {}) => new ParleyError('COM003', 'the model has too much to do', { details })
    const thrown = [busy(), busy({ sent: false }), busy({ reason: 'budget-exhausted' })]
    const { handlers } = createDemo()
    const pair = createPair(demo, {
      ...handlers,
      echo: (input) => {
        throw thrown[Number(input)]
      },
    })
    const seen = async (extra: { budget?: typeof budget }): Promise<boolean[]> =>
      Promise.all(thrown.map(async (_, n) => neverHandled(await parleyErrorOf(pair.unary('echo', n, { extra })))))
    assert.deepEqual(await seen({ budget }), [false, true, false])
    assert.deepEqual(await seen({}), [true, true, false], 'without a budget it may say so')
  })

  it('is told to be on its way once all of the request was written', async () => {
    const pair = createPair(demo, createDemo().handlers)
    let sent = 0
    const onSent = (): void => {
      sent += 1
    }
    await parleyErrorOf(pair.unary('echo', 1, { extra: { budget }, timeoutMs: 0, onSent }))
    await parleyErrorOf(pair.unary('echo', 1, { extra: { budget, metadata: new Uint8Array(9_000) }, onSent }))
    assert.equal(sent, 0)
    await pair.unary('echo', 1, { extra: { budget }, onSent })
    assert.equal(sent, 1)
  })
})
