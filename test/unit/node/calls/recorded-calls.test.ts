/** Calls of a conversation are noted on both sides, with how they ended; others are left as they are. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createMethodCodecs } from '../../../../node/calls/method-codecs.ts'
import { recordOwnCalls, recordRequests } from '../../../../node/calls/recorded-calls.ts'
import type { RetryingCall } from '../../../../node/calls/retrying-call.ts'
import type { ConversationCall } from '../../../../protocols/delivery/conversations/conversation-log.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import { compile, type RunContext } from '../../../../protocols/wire/payload/contract.ts'
import { probe } from '../../../support/probe.ts'
import { failureOf } from '../../../support/until.ts'

const createNotes = () => {
  const calls: ConversationCall[] = []
  const ends: (string | undefined)[] = []
  const note = (call: ConversationCall) => {
    calls.push(call)
    return (code?: string) => void ends.push(code ?? 'answered')
  }
  return { calls, ends, note }
}

async function* counting(to: number, error?: Error) {
  for (let n = 1; n <= to; n += 1) yield n
  if (error !== undefined) throw error
}

const busy = new ParleyError('COM003', 'busy', { hint: 'later' })

describe('calls that this node makes', () => {
  const callable = createMethodCodecs()
  const target = callable(probe, 'echo')
  const payload = new TextEncoder().encode('{"text":"x"}')
  const make = (outcome: () => Promise<unknown>, items = counting(2)) => {
    const notes = createNotes()
    const plain: RetryingCall = {
      unary: () => outcome(),
      oneWay: async () => void (await outcome()),
      stream: () => items,
    }
    return { ...notes, plain, invoke: recordOwnCalls(plain, notes.note) }
  }

  it('are noted with what they say and to whom, and how they ended', async () => {
    const { invoke, calls, ends } = make(async () => 'answer')
    assert.equal(await invoke.unary('bea', target, payload, { conversationId: 'c' }), 'answer')
    await invoke.oneWay('bea', target, payload, { conversationId: 'c' })
    const said = { label: 'probe.echo', direction: 'sent', peer: 'bea', content: 'json', payload, conversationId: 'c' }
    assert.deepEqual(calls, [said, said])
    assert.deepEqual(ends, ['answered', 'answered'])
    const failing = make(() => Promise.reject(busy))
    for (const kind of ['unary', 'oneWay'] as const)
      assert.equal(await failureOf(failing.invoke[kind]('bea', target, payload, { conversationId: 'c' })), busy)
    assert.deepEqual(failing.ends, ['COM003', 'COM003'])
  })

  it('are left as they are without a conversation', async () => {
    const { invoke, plain, calls } = make(async () => 'answer')
    const items = plain.stream('bea', target, payload, {})
    assert.equal(invoke.stream('bea', target, payload, {}), items)
    await invoke.unary('bea', target, payload, {})
    await invoke.oneWay('bea', target, payload, {})
    assert.deepEqual(calls, [])
  })

  it('are answered once a stream ended, failed, or is not wanted further', async () => {
    const whole = make(async () => 0)
    const seen: unknown[] = []
    for await (const n of whole.invoke.stream('bea', target, payload, { conversationId: 'c' })) seen.push(n)
    assert.deepEqual([seen, whole.ends], [[1, 2], ['answered']])
    const left = make(async () => 0)
    for await (const _ of left.invoke.stream('bea', target, payload, { conversationId: 'c' })) break
    assert.deepEqual(left.ends, ['answered'])
    const broken = make(async () => 0, counting(1, busy))
    const items = broken.invoke.stream('bea', target, payload, { conversationId: 'c' })
    await items.next()
    assert.equal(await failureOf(items.next()), busy)
    await items.return?.()
    assert.deepEqual(broken.ends, ['COM003'])
  })
})

describe('requests that this node handles', () => {
  const serve = (more: object = {}) => {
    const notes = createNotes()
    const handlers = {
      echo: ({ text }: { text: string }) => ({ text }),
      once: async ({ text }: { text: string }) => ({ text }),
      who: () => ({ id: 'x' }),
      hold: async () => {
        throw busy
      },
      holdAgain: ({ tag }: { tag: string }) => ({ tag }),
      async *count({ to }: { to: number }) {
        for await (const n of counting(to)) yield { n, fill: '' }
      },
      note: () => {},
      fail: () => {
        throw new Error('of a test')
      },
      lie: () => ({ text: '' }),
      launch: () => ({ text: '' }),
      ...more,
    }
    const { methods } = recordRequests(compile(probe, handlers), notes.note)
    const run = (method: string, input: object, conversationId?: string) => {
      const context = { peer: 'ada', conversationId } as RunContext
      return methods.get(method)?.run(new TextEncoder().encode(JSON.stringify(input)), context)
    }
    return { ...notes, run }
  }

  it('are noted with who asked, and how their handler ended', async () => {
    const { run, calls, ends } = serve()
    run('echo', { text: 'x' }, 'c')
    await run('once', { text: 'x' }, 'c')
    assert.deepEqual(
      calls.map(({ label, direction, peer, conversationId }) => [label, direction, peer, conversationId]),
      [
        ['probe.echo', 'received', 'ada', 'c'],
        ['probe.once', 'received', 'ada', 'c'],
      ],
    )
    assert.equal(await failureOf(run('hold', { tag: 'x' }, 'c') as Promise<unknown>), busy)
    assert.throws(() => run('fail', { typed: false }, 'c'), /of a test/)
    // What its contract refuses never reached the handler, and was asked all the same.
    assert.throws(() => run('echo', { text: 1 }, 'c'), { code: 'MSG001' })
    assert.deepEqual(ends, ['answered', 'answered', 'COM003', 'APP001', 'MSG001'])
  })

  it('are noted when a stream ended', async () => {
    const { run, ends } = serve()
    const items = run('count', { to: 2 }, 'c') as AsyncIterable<Uint8Array>
    const seen: number[] = []
    for await (const item of items) {
      assert.deepEqual(ends, [])
      seen.push(item.length)
    }
    assert.deepEqual([seen.length, ends], [2, ['answered']])
  })

  it('are left as they are without a conversation', async () => {
    const { run, calls } = serve()
    run('echo', { text: 'x' })
    await run('once', { text: 'x' })
    assert.deepEqual(calls, [])
  })
})
