/** Agents in worker threads on real nodes over loopback TCP. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { presenceProtocol } from '../../discovery/swim/protocol.ts'
import { type AgentOptions, type RunningAgent, startAgent } from '../../node/agent/start-agent.ts'
import type { Mesh } from '../../node/api.ts'
import { createMesh } from '../../node/mesh.ts'
import { Slice } from '../../protocols/budget/slice.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { errand, stopped, toil, word } from '../support/agents/contract.ts'
import { failureOf, timed, until } from '../support/until.ts'

const fixture = (name: string): string => fileURLToPath(new URL(`../support/agents/${name}.ts`, import.meta.url))

interface Line {
  message: string
  fields: Record<string, unknown>
}

const recorder = () => {
  const lines: Line[] = []
  const record = (message: string, fields: Record<string, unknown> = {}): void => {
    lines.push({ message, fields })
  }
  return { lines, log: { error: record, warn: record, info: record } }
}

const parley = async (promise: Promise<unknown>): Promise<ParleyError> => {
  const error = await failureOf(promise)
  assert.ok(error instanceof ParleyError, String(error))
  return error
}

describe('agents in worker threads', { timeout: 30_000 }, () => {
  const { lines, log } = recorder()
  let host: Mesh
  let caller: Mesh
  let agent: RunningAgent

  before(async () => {
    host = await createMesh({ name: 'host', log })
    caller = await createMesh({ name: 'caller', log, join: host.self.addresses })
    agent = startAgent(host, fixture('toil'))
    await Promise.all([agent.ready, caller.joined()])
    await until('the offer is known', () => caller.directory.offers('toil', 1).length === 1)
  })
  const closing: (() => Promise<void>)[] = []
  /** A node of one test; it is stopped at the latest at the end. */
  const join = async (name: string): Promise<Mesh> => {
    const mesh = await createMesh({ name, log, join: host.self.addresses })
    closing.push(() => mesh.stop())
    await mesh.joined()
    return mesh
  }
  const run = async (mesh: Mesh, name: string, options: AgentOptions = {}): Promise<RunningAgent> => {
    const running = startAgent(mesh, fixture(name), options)
    closing.unshift(() => running.stop())
    await running.ready
    return running
  }
  after(async () => {
    for (const close of closing) await close()
    await agent.stop()
    await Promise.all([caller.stop(), host.stop()])
  })

  test('a call is answered by the worker, and its record shows the contract', async () => {
    assert.deepEqual(await caller.any(toil).echo({ text: 'hello' }), { text: 'hello' })
    assert.deepEqual(await host.any(toil).echo({ text: 'from its own node' }), { text: 'from its own node' })
    const method = caller.directory.get(host.self.id)?.record.protocols[0]?.methods[0]
    assert.equal(method?.description, 'Says it again.')
    assert.equal(typeof method?.request?.properties, 'object')
  })

  test('what an agent spends of a budget is spent, and what it passes on and leaves comes back', async () => {
    const slice = new Slice({ amounts: { tokens: 100, fanOut: 9 } })
    const budget = { of: slice, amounts: { tokens: 40, fanOut: 3 } }
    assert.deepEqual(await caller.any(toil).pay({ tokens: 7 }, { budget }), { tokens: 33 })
    assert.deepEqual(slice.counts().spent, { tokens: 7, fanOut: 1 })
    const beyond = await parley(caller.any(toil).pay({ tokens: 41 }, { budget }))
    assert.deepEqual([beyond.code, beyond.reason], ['COM003', 'budget-exhausted'])
    assert.equal(slice.remaining().tokens, 93)
    const second = await run(caller, 'errand')
    assert.deepEqual(await host.to(caller.self.id, errand).payThrice({ tokens: 10 }, { budget }), { tokens: 10 })
    assert.deepEqual(slice.counts().spent, { tokens: 37, fanOut: 5 })
    await second.stop()
    // It has what the budget has for a call, and does not say what came of it.
    await parley(caller.any(toil).spin({ ms: 400 }, { budget, timeoutMs: 100 }))
    assert.equal(slice.remaining().tokens, 23)
  })

  test('bytes come through whole, small and large', async () => {
    for (const size of [0, 1, 4000, 20_000, 300_000]) {
      const bytes = Uint8Array.from({ length: size }, (_, at) => at % 251)
      assert.deepEqual(await caller.to(host.self.id, toil).mirror(bytes), bytes)
    }
  })

  test('a handler sees its caller, the envelope and the time that is left', async () => {
    const seen = await caller
      .to(host.self.id, toil)
      .context({}, { timeoutMs: 5000, conversationId: 'talk-1', headers: { colour: 'red' } })
    assert.equal(seen.peer, caller.self.id)
    assert.equal(seen.source, caller.self.id)
    assert.equal(seen.self, host.self.id)
    assert.equal(seen.conversationId, 'talk-1')
    assert.deepEqual(seen.headers, { colour: 'red' })
    assert.equal(seen.payloadBytes, 2)
    assert.ok(seen.remainingMs > 2000 && seen.remainingMs <= 5000, `${seen.remainingMs}`)
  })

  test('errors of the agent cross with code, hint and details; others as one fixed text, and are logged', async () => {
    const typed = await parley(caller.to(host.self.id, toil).refuse({}))
    assert.equal(typed.code, 'STA003')
    assert.equal(typed.message, 'the shelf is full')
    assert.equal(typed.hint, 'empty it')
    assert.deepEqual(typed.details, { shelf: 7 })
    assert.equal(typed.remote, true)
    const unexpected = await parley(caller.to(host.self.id, toil).break({}))
    assert.equal(unexpected.code, 'APP001')
    assert.equal(unexpected.message, 'the handler failed')
    const line = await until('the log line', () => lines.find(({ message }) => message === 'toil.break failed'))
    assert.match(JSON.stringify(line.fields), /cellar door/)
  })

  test('input that does not fit the contract is refused before the handler', async () => {
    const error = await parley(caller.to(host.self.id, toil).echo(JSON.parse('{"text":1}')))
    assert.equal(error.code, 'MSG001')
  })

  test('a stream is made no further than its reader takes it, and ends whole', async () => {
    let n = 0
    for await (const item of caller.any(toil).count({ to: 3000, bytes: 2000 })) {
      n += 1
      assert.equal(item.n, n)
      if (n === 10) {
        // The windows of both hops are full; the worker stands still until more is read.
        const { made } = await caller.any(toil).state({})
        assert.ok(made < 1000, `${made} items were made when 10 were read`)
      }
    }
    assert.equal(n, 3000)
  })

  test('leaving a stream ends it in the worker', async () => {
    for await (const { n } of caller.any(toil).count({ to: 1_000_000, bytes: 10 })) if (n === 5) break
    const stands = await until('the stream stands still', async () => {
      const before = (await caller.any(toil).state({})).made
      const later = (await caller.any(toil).state({})).made
      return before === later ? before : undefined
    })
    assert.ok(stands < 1_000_000)
  })

  test('a cancel and a deadline reach the handler with their reason', async () => {
    const stop = new AbortController()
    const call = caller.to(host.self.id, toil).hold({ text: 'cancelled' }, { signal: stop.signal })
    await until('it is held', async () => (await caller.any(toil).state({})).held === 1)
    stop.abort(new Error('never mind'))
    assert.equal(((await failureOf(call)) as Error).message, 'never mind')
    const late = await parley(caller.to(host.self.id, toil).hold({ text: 'late' }, { timeoutMs: 100 }))
    assert.equal(late.code, 'COM001')
    const { aborted } = await until('both were told', async () => {
      const state = await caller.any(toil).state({})
      return state.aborted.length === 2 ? state : undefined
    })
    assert.deepEqual(aborted, ['cancelled:COM001', 'late:COM001'])
  })

  test('a handler in a tight loop does not keep its node from answering', async () => {
    const spinning = caller.to(host.self.id, toil).spin({ ms: 2500 })
    let slowest = 0
    let beats = 0
    const endsAt = performance.now() + 2000
    while (performance.now() < endsAt) {
      const beat = { agentId: caller.self.id, incarnation: caller.self.incarnation, load: 0, queueLength: 0 }
      const { ms } = await timed(() => caller.to(host.self.id, presenceProtocol).beat(beat))
      slowest = Math.max(slowest, ms)
      beats += 1
    }
    // Generous for a busy machine; a node that stood still would have answered one beat, after 2.5 s.
    assert.ok(slowest < 1000 && beats > 20, `${beats} beats, the slowest in ${slowest} ms`)
    assert.equal(caller.directory.get(host.self.id)?.state, 'alive')
    // What waits behind the loop is told in time, and is not run when its turn comes.
    const waited = await parley(caller.to(host.self.id, toil).hold({ text: 'behind' }, { timeoutMs: 50 }))
    assert.equal(waited.code, 'COM001')
    await spinning
    assert.ok(!(await caller.any(toil).state({})).aborted.includes('behind:COM001'))
  })

  test('an agent calls, streams, gathers, publishes and subscribes through its node', async () => {
    const running = await run(caller, 'errand')
    const client = host.to(caller.self.id, errand)
    assert.deepEqual(await client.any({ text: 'a' }), { text: 'a' })
    assert.deepEqual(await client.to({ peer: host.self.id, text: 'b' }), { text: 'b' })
    assert.deepEqual(await client.to({ peer: 'host', text: 'by name' }), { text: 'by name' })
    const nobody = await parley(client.to({ peer: 'hots', text: 'b' }))
    assert.deepEqual([nobody.code, nobody.details.reason], ['COM002', 'unknown-name'])
    assert.deepEqual(await client.all({}), [host.self.id])
    assert.deepEqual(await client.all({ count: 1 }), [host.self.id])
    assert.deepEqual(
      await client.stream({ to: 500, take: 1000 }),
      Array.from({ length: 500 }, (_, at) => at + 1),
    )
    assert.deepEqual(await client.stream({ to: 1_000_000, take: 3 }), [1, 2, 3])
    assert.deepEqual(await client.failing({}), { code: 'STA003', message: 'the shelf is full', remote: true })
    assert.deepEqual(await client.wrong({}), { code: 'MSG001' })
    assert.deepEqual(await client.publishWrong({}), { code: 'MSG001' })
    assert.deepEqual(await client.here({}), {
      self: caller.self.id,
      members: [host.self.id],
      agents: ['caller', 'host'],
    })

    const heard: string[] = []
    await host.events.subscribe(word, ({ data, version }) => void heard.push(`${data.text} ${version}`))
    const ends: string[] = []
    await host.events.subscribe(stopped, ({ data }) => void ends.push(data.name))
    assert.equal((await client.publish({ text: 'from the worker' })).topic, 'words.spoken')
    await until('the node heard it', () => heard.includes('from the worker 1.1.0'))
    await host.events.publish(word, { text: 'to the worker' })
    await host.events.publish('words.spoken', { text: 5 })
    const told = await until('the worker heard both', async () => {
      const state = await client.heard({})
      return state.texts.length === 2 && state.invalid === 1 ? state : undefined
    })
    assert.deepEqual(told.texts, ['from the worker', 'to the worker'])

    await running.stop()
    await until('its stop() was called', () => ends.includes('caller'))
    assert.equal((await parley(host.any(errand).here({}))).code, 'COM004')
  })

  test('a second agent with the same protocol is refused on one node', async () => {
    const second = startAgent(host, fixture('toil'))
    assert.equal((await parley(second.ready)).code, 'STA003')
    assert.equal((await parley(second.exited)).code, 'STA003')
    assert.deepEqual(await caller.any(toil).echo({ text: 'still there' }), { text: 'still there' })
  })

  test('more requests than the agent takes are refused at once', async () => {
    const small = await join('small')
    const running = await run(small, 'toil', { maxRuns: 2 })
    const stop = new AbortController()
    const held = [1, 2, 3].map(() => small.to(small.self.id, toil).hold({ text: 'x' }, { signal: stop.signal }))
    const refused = await parley(Promise.race(held))
    assert.equal(refused.code, 'COM003')
    assert.match(refused.message, /2 exchanges/)
    const slice = new Slice({ amounts: { tokens: 100, fanOut: 9 } })
    const budget = { of: slice, amounts: { tokens: 40 } }
    const client = small.to(small.self.id, toil)
    assert.equal((await parley(client.pay({ tokens: 7 }, { budget, timeoutMs: 100 }))).code, 'COM003')
    await assert.rejects(client.payEach({ tokens: 6 }, { budget, timeoutMs: 100 }).next())
    assert.deepEqual(slice.remaining(), { tokens: 100, fanOut: 9 }, 'the agent had nothing of it')
    const waiting = client.pay({ tokens: 7 }, { budget })
    stop.abort()
    assert.deepEqual(await waiting, { tokens: 33 }, 'a later attempt has all of it')
    await Promise.allSettled(held)
    await until('there is room again', async () => {
      const state = await small
        .to(small.self.id, toil)
        .state({})
        .catch(() => undefined)
      return state?.held === 0
    })
    await running.stop()
    await small.stop()
  })

  test('a crash fails what runs, idempotent calls go to another peer, and the agent is started again', async () => {
    const other = await join('other')
    const running = await run(other, 'toil')
    const stop = new AbortController()
    const direct = caller.to(other.self.id, toil)
    const plain = parley(direct.hold({ text: 'plain' }))
    await until('it is held', async () => (await direct.state({})).held === 1)
    // Some of these are here, some at the host; all are idempotent.
    const again = Array.from({ length: 8 }, () =>
      caller.any(toil).holdAgain({ text: 'again' }, { signal: stop.signal }),
    )
    const settled = Promise.allSettled(again)
    const here = await until('all are held', async () => {
      const [own, others] = await Promise.all([direct.state({}), caller.to(host.self.id, toil).state({})])
      return own.held - 1 + others.held === 8 ? own.held - 1 : undefined
    })
    assert.ok(here > 0, 'none of eight calls came to this agent')
    const crashedAt = lines.length
    await direct.crash({})
    const error = await plain
    assert.equal(error.code, 'COM002')
    assert.equal(error.details.sent, true)
    await until('the host holds all', async () => (await caller.to(host.self.id, toil).state({})).held === 8)
    const line = await until('it is logged', () =>
      lines.slice(crashedAt).find(({ message }) => message.startsWith('an agent crashed')),
    )
    assert.match(String(line.fields.error), /the roof fell in/)
    await until('it is back', async () => {
      const answer = await direct.echo({ text: 'back' }).catch(() => undefined)
      return answer?.text === 'back'
    })
    stop.abort(new Error('enough'))
    await settled
    await running.stop()
    await other.stop()
  })

  test('an agent that crashes again and again is given up with a typed error', async () => {
    const running = startAgent(host, fixture('crashes'), { restart: { maxRestarts: 2, backoffMinMs: 1 } })
    await running.ready
    const error = await parley(running.exited)
    assert.equal(error.code, 'APP001')
    assert.match(error.message, /crashed more than 2 times within 60 s.*out of memory, as it were/)
    await running.stop()
  })

  test('a module that is missing or exports no agent is refused with a hint', async () => {
    const cases: [string, string, RegExp][] = [
      ['there-is-none', 'MSG001', /does not exist/],
      ['..', 'MSG001', /is no file|does not exist/],
      ['no-default', 'MSG001', /has no default export/],
      ['wrong-shape', 'MSG001', /offers\[0\] of its agent was not made by offer\(\)/],
      ['throws-at-start', 'APP001', /no model was found/],
    ]
    await Promise.all(
      cases.map(async ([name, code, message]) => {
        const running = startAgent(host, fixture(name))
        const error = await parley(running.ready)
        assert.equal(error.code, code, error.message)
        assert.match(error.message, message)
        assert.ok(error.hint !== undefined && error.hint.length > 10)
        await failureOf(running.exited)
      }),
    )
  })

  test('a stop waits for requests in work, refuses new ones, and ends one that never returns', async () => {
    const leaving = await join('leaving')
    const running = await run(leaving, 'toil', { drainMs: 3000, stopMs: 200 })
    const own = leaving.to(leaving.self.id, toil)
    const working = own.spin({ ms: 400 })
    await until('it is in work', () => leaving.figures().active === 1)
    const stopping = running.stop()
    const refused = await parley(own.echo({ text: 'too late' }, { timeoutMs: 2000 }))
    assert.ok(['COM003', 'MSG004'].includes(refused.code), refused.code)
    await working
    await stopping

    const stuck = await run(leaving, 'toil', { drainMs: 100, stopMs: 200 })
    const forever = parley(own.spin({ ms: 60_000 }))
    await until('it is in work', () => leaving.figures().active === 1)
    const { ms } = await timed(() => stuck.stop())
    assert.ok(ms < 4000, `${ms} ms`)
    assert.equal((await forever).code, 'COM002')
    await stuck.exited
    await leaving.stop()
  })
})
