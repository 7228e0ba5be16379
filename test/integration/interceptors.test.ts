/** Interceptors around calls, messages and events, between processes of their own. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  createMesh,
  defineInterceptor,
  definePart,
  type Interceptor,
  implementPart,
  interceptors,
  isCallOf,
  isParleyError,
  itemsOf,
  type Loading,
  type Mesh,
  makeSecret,
  ParleyError,
} from '../../node/index.ts'
import { BUDGET, withToken } from '../support/guards.ts'
import { note } from '../support/message-verbs.ts'
import { probe } from '../support/probe.ts'
import { endProcesses, type Peer, startPeer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const ONCE = { retry: { maxRetries: 0 } } as const

describe('interceptors, between processes', { timeout: 120_000 }, () => {
  const secret = makeSecret()
  let folder = ''
  let guarded: Peer
  const meshes: Mesh[] = []

  const start = async (name: string, list: readonly Interceptor[] = []): Promise<Mesh> => {
    const mesh = await createMesh({
      ...{ name, secret, log: 'error', dataDir: join(folder, name), join: guarded.addresses },
      interceptors: [...list],
    })
    meshes.push(mesh)
    await mesh.joined({ timeoutMs: 20_000 })
    return mesh
  }
  const audited = (): Promise<readonly string[]> => guarded.ask('audited', undefined)
  const metric = async (text: string): Promise<number> => {
    const metrics = await (await fetch(`${guarded.debugUrl}/metrics`)).text()
    const line = metrics.split('\n').find((one) => one.startsWith(`parley_interceptor_errors_total{${text}}`))
    return Number(line?.split(' ').at(-1) ?? 0)
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parley-interceptors-'))
    guarded = await startPeer({
      ...{ name: 'guarded', secret, guarded: true, debug: {}, dataDir: join(folder, 'guarded') },
    })
  })
  after(async () => {
    await Promise.all(meshes.map((mesh) => mesh.stop()))
    endProcesses()
    await rm(folder, { recursive: true, force: true })
  })

  it('refuse a call without a token, and let one with it through', async () => {
    const stranger = await start('stranger')
    await assert.rejects(
      stranger.to(guarded.id, probe).echo({ text: 'hello' }),
      (error) => isParleyError(error, 'SEC001') && error.remote && error.hint === 'ask for one',
    )
    await assert.rejects(
      stranger.to(guarded.id, probe).count({ to: 3 }).next(),
      (error) => isParleyError(error, 'SEC001') && error.remote,
    )
    const ada = await start('ada', [withToken('ada')])
    assert.deepEqual(await ada.to(guarded.id, probe).echo({ text: 'hello' }), { text: 'hello' })
    assert.deepEqual(await audited(), ['ada called echo'])
    assert.equal(await metric('interceptor="authentication",kind="serve",outcome="refused"'), 2)
  })

  it('a budget ends what one caller may ask, and no other one', async () => {
    const [eve, bob] = [await start('eve', [withToken('eve')]), await start('bob', [withToken('bob')])]
    for (let at = 0; at < BUDGET; at += 1) await eve.to(guarded.id, probe).echo({ text: `${at}` })
    await assert.rejects(eve.to(guarded.id, probe).who({}), (error) => isParleyError(error, 'SEC002'))
    assert.deepEqual(await bob.any(probe).who({}), { id: guarded.id })
    for await (const reply of bob.all(probe).who({})) assert.ok('value' in reply)
  })

  it('a cache answers by itself, checked by the contract; a changed request reaches the handler', async () => {
    const known = new Map<string, unknown>()
    const cache = defineInterceptor({
      name: 'cache',
      async call(call, next) {
        if (!isCallOf(call, probe, 'echo')) return next()
        const { text } = call.request
        if (text === 'lie') return { text: 1 }
        if (!known.has(text)) known.set(text, await next({ request: { text: text.toUpperCase() } }))
        return known.get(text)
      },
    })
    const before = await audited()
    const carl = await start('carl', [cache, withToken('carl')])
    const { echo } = carl.to(guarded.id, probe)
    assert.deepEqual(await Promise.all([echo({ text: 'one' }), echo({ text: 'two' })]), [
      { text: 'ONE' },
      { text: 'TWO' },
    ])
    assert.deepEqual(await echo({ text: 'one' }), { text: 'ONE' })
    assert.deepEqual((await audited()).slice(before.length), ['carl called echo', 'carl called echo'])
    await assert.rejects(echo({ text: 'lie' }), (error) => isParleyError(error, 'APP001') && !error.remote)
  })

  it('a stream may be wrapped; one that is left ends at the handler', async () => {
    const tenfold = defineInterceptor({
      name: 'tenfold',
      async call(call, next) {
        const answer = await next()
        if (call.methodKind !== 'stream') return answer
        return (async function* () {
          for await (const item of itemsOf(answer)) {
            const { n, fill } = item as { n: number; fill: string }
            yield { n: n * 10, fill }
          }
        })()
      },
    })
    const dora = await start('dora', [tenfold, withToken('dora')])
    const seen: number[] = []
    for await (const { n } of dora.to(guarded.id, probe).count({ to: 1_000_000 })) {
      seen.push(n)
      if (seen.length === 3) break
    }
    assert.deepEqual(seen, [10, 20, 30])
    const { streamsEnded } = await until('the stream ends there', async () => {
      const journal = await guarded.ask('journal', undefined)
      return journal.streamsEnded > 0 ? journal : undefined
    })
    assert.ok(streamsEnded >= 1)
  })

  it('one that never settles is ended by the deadline of the call', async () => {
    const stuck = defineInterceptor({ name: 'stuck', call: () => new Promise(() => {}) })
    const fay = await start('fay', [stuck])
    await assert.rejects(
      fay.to(guarded.id, probe).who({}, { timeoutMs: 150 }),
      (error) => isParleyError(error, 'COM001') && /interceptor stuck did not settle/.test(error.message),
    )
    const items = fay.to(guarded.id, probe).count({ to: 3 }, { timeoutMs: 150 })
    await assert.rejects(items.next(), (error) => isParleyError(error, 'COM001'))
  })

  it('a message that is refused becomes a dead letter with the reason; another one is processed', async () => {
    await guarded.ask('receiveNotes', undefined)
    const [gil, guest] = [await start('gil', [withToken('gil')]), await start('guest')]
    const good = await gil.messages.send(guarded.id, note, { n: 1 }, ONCE)
    await good.delivered({ timeoutMs: 20_000 })
    assert.deepEqual(await guarded.ask('notes', undefined), [1])
    assert.ok((await audited()).includes('gil sent note'))
    const bad = await guest.messages.send(guarded.id, note, { n: 2 }, ONCE)
    await assert.rejects(bad.delivered({ timeoutMs: 20_000 }), /SEC001 the token is missing or wrong/)
    const [letter] = await guest.messages.deadLetters.list()
    assert.equal(letter?.code, 'SEC001')
    assert.deepEqual(await guarded.ask('notes', undefined), [1])
  })

  it('a sender may change a message and refuse it, in a transaction too', async () => {
    const limits = defineInterceptor({
      name: 'limits',
      send(message, next) {
        const { n } = message.data as { n: number }
        if (n > 100) throw new ParleyError('SEC002', 'too much')
        return next({ data: { n: n + 10 } })
      },
    })
    const hal = await start('hal', [limits, withToken('hal')])
    await (await hal.messages.send(guarded.id, note, { n: 1 }, ONCE)).delivered({ timeoutMs: 20_000 })
    await hal.messages.change((tx) => tx.send(guarded.id, note, { n: 2 }, ONCE))
    await until('both are processed', async () => {
      const notes = await guarded.ask('notes', undefined)
      return notes.includes(11) && notes.includes(12)
    })
    await assert.rejects(hal.messages.send(guarded.id, note, { n: 101 }), (error) => isParleyError(error, 'SEC002'))
    const dropped = hal.messages.change(async (tx) => {
      await tx.put('kept', true)
      await tx.send(guarded.id, note, { n: 102 })
    })
    await assert.rejects(dropped, (error) => isParleyError(error, 'SEC002'))
    assert.equal(await hal.messages.state.get('kept'), undefined)
  })

  it('an event that is refused does not come, and is counted; the next one comes', async () => {
    const { subscription } = await guarded.ask('subscribe', { pattern: 'news.*' })
    const [ida, other] = [await start('ida', [withToken('ida')]), await start('other')]
    await other.events.publish('news.false', { n: 1 })
    await ida.events.publish('news.true', { n: 2 })
    const heard = await until('the true news come', async () => {
      const { events } = await guarded.ask('heard', { subscription })
      return events.length > 0 ? events : undefined
    })
    assert.deepEqual(
      heard.map(({ topic }) => topic),
      ['news.true'],
    )
    await until(
      'the other one is counted',
      async () => (await metric('interceptor="authentication",kind="hear",outcome="refused"')) === 1,
    )
  })

  it('a loop hears what is let through, changed', async () => {
    const filter = defineInterceptor({
      name: 'filter',
      async hear(event, next) {
        const { n } = event.data as { n: number }
        if (n % 2 === 1) throw new ParleyError('APP001', 'odd')
        return next({ data: { n: n * 10 } })
      },
    })
    const jan = await start('jan', [filter])
    const subscription = await jan.events.subscribe('numbers.*')
    for (let n = 1; n <= 4; n += 1) await jan.events.publish('numbers.all', { n })
    const seen: unknown[] = []
    for await (const { data } of subscription) if (seen.push(data) === 2) break
    assert.deepEqual(seen, [{ n: 20 }, { n: 40 }])
  })

  it('the mesh itself passes none: one that refuses everything breaks nothing of it', async () => {
    const refuse = () => {
      throw new ParleyError('SEC002', 'nothing passes')
    }
    const closed = await start('closed', [
      defineInterceptor({ name: 'closed', call: refuse, serve: refuse, publish: refuse, hear: refuse }),
    ])
    await until('it is known', () => closed.directory.offers('probe', 1).length > 0)
    await assert.rejects(closed.any(probe).who({}), (error) => isParleyError(error, 'SEC002') && !error.remote)
    await assert.rejects(closed.events.publish('a.b', 1), (error) => isParleyError(error, 'SEC002'))
    // Durable messages go by calls of the mesh.
    const letter = await closed.messages.send(guarded.id, note, { n: 3 }, ONCE)
    await assert.rejects(letter.delivered({ timeoutMs: 20_000 }), /SEC001 the token is missing or wrong/)
    assert.equal((await closed.messages.deadLetters.list())[0]?.code, 'SEC001')
  })

  it('a part adds its own when it is set up with the node; later it is too late', async () => {
    const seen: string[] = []
    const partOf = (name: string, activate: 'start' | 'inbound-or-use') => {
      const part = definePart({
        name,
        description: 'Sees calls.',
        activate,
        load: async (): Loading<true> => ({ default: implementation }),
      })
      const implementation = implementPart<typeof part>({
        setup: (ctx) =>
          ctx.extend(interceptors, {
            name,
            call(call, next) {
              seen.push(`${name} ${call.method}`)
              return next()
            },
          }),
        start: () => ({ api: true }),
      })
      return part
    }
    const [early, late] = [partOf('acme/early', 'start'), partOf('acme/late', 'inbound-or-use')]
    const first = defineInterceptor({
      name: 'first',
      call(_call, next) {
        seen.push('first')
        return next()
      },
    })
    const kim = await createMesh({
      ...{ name: 'kim', secret, join: guarded.addresses },
      log: 'error',
      parts: [early, late],
      interceptors: [first, withToken('kim')],
    })
    meshes.push(kim)
    await kim.joined({ timeoutMs: 20_000 })
    await kim.to(guarded.id, probe).who({})
    assert.deepEqual(seen, ['first', 'acme/early who'])
    await assert.rejects(kim.part(late), (error) => isParleyError(error, 'STA003'))
  })

  it('interceptors that cannot be used keep a node from starting', async () => {
    const bad = { name: 'Bad', call: () => {} }
    await assert.rejects(createMesh({ interceptors: [bad] }), (error) => isParleyError(error, 'MSG001'))
    const lost = defineInterceptor({ name: 'lost', before: ['nobody'], call: (_, next) => next() })
    await assert.rejects(createMesh({ interceptors: [lost] }), (error) => isParleyError(error, 'MSG001'))
  })
})
