/** Parts of a node: in which order they start, what wakes them, what becomes of those that fail. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { RETRY_MS, START_LIMIT_MS } from '../../../../node/parts/life.ts'
import { PartRunner, type RunnerDeps } from '../../../../node/parts/runner.ts'
import { createPortNetwork } from '../../../../node/testing/virtual/port-network.ts'
import { defineProtocol } from '../../../../protocols/define.ts'
import { definePart } from '../../../../protocols/define-part.ts'
import { isParleyError, ParleyError } from '../../../../protocols/errors.ts'
import {
  type AnyPart,
  answers,
  extensionPoint,
  type Implementation,
  implementPart,
  type Loading,
  type PartSpec,
  type Started,
  type Token,
  tokenOf,
} from '../../../../protocols/part.ts'

type Spec = PartSpec<string, Record<string, Token<unknown>>, Record<string, Token<unknown>>, z.ZodType, never, never>

const echo = defineProtocol({
  name: 'echo',
  version: '1.0.0',
  methods: {
    say: { request: z.object({ text: z.string() }), response: z.object({ text: z.string() }) },
    count: { request: z.object({ to: z.int() }), stream: z.int() },
  },
})

const create = () => {
  const network = createPortNetwork()
  const node = network.start('a')
  const said: string[] = []
  /** A part that says when it is loaded, set up, started and stopped. */
  const part = (
    name: string,
    spec: Partial<Spec> = {},
    more: Partial<Started<string>> & { fails?: () => unknown; setup?: Implementation['setup'] } = {},
  ): AnyPart => {
    const { fails, setup, ...started } = more
    const defined: AnyPart = definePart({
      name,
      description: 'For a test.',
      activate: 'start' as const,
      ...spec,
      load: async (): Loading<string> => {
        said.push(`load ${name}`)
        return { default: implementation }
      },
    }) as unknown as AnyPart
    const implementation = implementPart<typeof defined>({
      setup(context, options) {
        said.push(`set up ${name}`)
        setup?.(context, options)
      },
      start({ defer }) {
        said.push(`start ${name}`)
        defer(() => void said.push(`undo ${name}`))
        const why = fails?.()
        if (why !== undefined) throw why
        return { api: name, stop: () => void said.push(`stop ${name}`), ...started }
      },
    }) as Implementation<string>
    return defined
  }
  const run = (parts: readonly AnyPart[], deps: Partial<RunnerDeps> = {}): PartRunner =>
    new PartRunner({ parts, provides: [], port: () => node.port, ...deps })
  const started = async (parts: readonly AnyPart[], deps: Partial<RunnerDeps> = {}): Promise<PartRunner> => {
    const runner = run(parts, deps)
    await runner.prepare()
    await runner.start()
    return runner
  }
  return { ...network, node, said, part, run, runner: started }
}

const refuses = (code: 'MSG001' | 'STA003' | 'COM002' | 'COM001', text: RegExp) => (error: unknown) => {
  assert.ok(isParleyError(error, code), String(error))
  assert.match(error.message, text)
  assert.notEqual(error.hint, '')
  return true
}

test('parts are loaded and set up before any of them starts, start after what they need, and stop backwards', async () => {
  const { part, runner, said } = create()
  const base = part('x/base')
  const middle = part('x/middle', { needs: { base } })
  const top = part('x/top', { needs: { middle }, optional: { base } })
  const parts = await runner([top, middle, base])
  assert.deepEqual(said.splice(0), [
    ...['load x/base', 'set up x/base', 'load x/middle', 'set up x/middle', 'load x/top', 'set up x/top'],
    ...['start x/base', 'start x/middle', 'start x/top'],
  ])
  assert.equal(await parts.use(top), 'x/top')
  assert.equal(parts.get(base), 'x/base')
  await parts.stop()
  const stopped = ['x/top', 'x/middle', 'x/base'].flatMap((name) => [`stop ${name}`, `undo ${name}`])
  assert.deepEqual(said, stopped)
  await assert.rejects(parts.use(top), refuses('COM002', /stopping/))
})

test('a name that stands twice, a protocol that two serve, an unknown need and a circle are refused', () => {
  const { part, run } = create()
  assert.throws(() => run([part('x/a'), part('x/a')]), refuses('MSG001', /two parts are called x\/a/))
  assert.throws(() => run([part('events')], { provides: [tokenOf('events')] }), refuses('MSG001', /two parts/))
  const serving = { protocols: [echo] }
  assert.throws(
    () => run([part('x/a', serving), part('x/b', serving)]),
    refuses('MSG001', /x\/a and x\/b both serve \/parley\/echo\/1/),
  )
  assert.throws(
    () => run([part('x/a', { needs: { b: tokenOf('x/bee') } }), part('x/be')]),
    (error) =>
      refuses('MSG001', /x\/a needs x\/bee/)(error) && isParleyError(error) && /x\/be\?/.test(error.hint ?? ''),
  )
  const [a, b, c] = [{ name: 'x/a' }, { name: 'x/b' }, { name: 'x/c' }]
  assert.throws(
    () =>
      run([
        part('x/z', { needs: { a } }),
        part('x/a', { needs: { b } }),
        part('x/b', { optional: { c } }),
        part('x/c', { needs: { a } }),
      ]),
    refuses('MSG001', /x\/a needs x\/b needs x\/c needs x\/a/),
  )
  assert.throws(() => run([part('x/a', { needs: { a } })]), refuses('MSG001', /x\/a needs x\/a/))
})

test('what fails undoes what it began and what started before it; errors of the mesh pass as they are', async () => {
  const { part, runner, said } = create()
  const base = part('x/base')
  const broken = part('x/broken', { needs: { base } }, { fails: () => new Error('no paper') })
  await assert.rejects(
    runner([broken, base]),
    (error) =>
      refuses('STA003', /x\/broken did not start: no paper/)(error) &&
      isParleyError(error) &&
      error.details.reason === 'part-failed',
  )
  assert.deepEqual(said.slice(-5), ['start x/base', 'start x/broken', 'undo x/broken', 'stop x/base', 'undo x/base'])
  const own = new ParleyError('SEC001', 'not you', { hint: 'go' })
  await assert.rejects(runner([part('x/own', {}, { fails: () => own })]), (error) => error === own)
})

test('a part that the node can do without fails alone: the node is not ready, and it is tried again', async () => {
  const { part, runner, said, node, time } = create()
  let isBroken = true
  const spare = part('x/spare', { essential: false }, { fails: () => (isBroken ? new Error('no ink') : undefined) })
  const user = part('x/user', { optional: { spare } }, {})
  const parts = await runner([user, spare])
  assert.deepEqual(parts.readiness(), { reasons: ['the part x/spare failed: no ink'], degraded: [] })
  assert.equal(parts.get(user), 'x/user')
  assert.deepEqual(
    parts.facts().map(({ state }) => state),
    ['failed', 'running'],
  )
  assert.equal(node.logs.filter(({ level }) => level === 'error').length, 1)
  isBroken = false
  const before = said.length
  await assert.rejects(parts.use(spare), refuses('STA003', /x\/spare of this node does not run/))
  assert.equal(said.length, before)
  await time.run(RETRY_MS)
  assert.equal(await parts.use(spare), 'x/spare')
  assert.deepEqual(parts.readiness().reasons, [])
  await parts.stop()
})

test('an essential part cannot start without one that failed', async () => {
  const { part, runner } = create()
  const spare = part('x/spare', { essential: false }, { fails: () => new Error('no ink') })
  await assert.rejects(runner([part('x/user', { needs: { spare } })]), refuses('MSG001', /needs x\/spare/))
  await assert.rejects(runner([part('x/user', { needs: { spare } }), spare]), refuses('STA003', /x\/spare/))
})

test('a call that comes before the parts start waits until what its part needs is there', async () => {
  const { part, run, start, connect, node, time } = create()
  const ink = tokenOf<string>('ink')
  const lazy = part(
    'x/echo',
    { protocols: [echo], activate: 'inbound-or-use', needs: { ink } },
    { handlers: [answers(echo, { say: ({ text }) => ({ text: `${text}!` }), async *count() {} })] },
  )
  const parts = run([lazy], { provides: [ink] })
  await parts.prepare()
  const other = start('b')
  connect(node, other)
  const said = other.port.to(node.id, echo).say({ text: 'a' })
  await time.run(100)
  assert.deepEqual(
    parts.facts().map(({ state }) => state),
    ['idle'],
  )
  parts.provide(ink, 'blue')
  await parts.start()
  assert.deepEqual(await time.settled(said, 1_000), { text: 'a!' })
})

test('a part that is not used is not loaded; its first call wakes it, and calls meanwhile wait for the one start', async () => {
  const { part, runner, said, start, connect, node, time } = create()
  const lazy = part(
    'x/echo',
    { protocols: [echo], activate: 'inbound-or-use' },
    {
      handlers: [
        answers(echo, {
          say: ({ text }) => ({ text: `${text}!` }),
          async *count({ to }) {
            for (let n = 1; n <= to; n += 1) yield n
          },
        }),
      ],
    },
  )
  const parts = await runner([lazy])
  assert.deepEqual(said, [])
  assert.deepEqual(
    parts.facts().map(({ state }) => state),
    ['idle'],
  )
  const other = start('b')
  connect(node, other)
  const client = other.port.to(node.id, echo)
  const collect = async (): Promise<number[]> => {
    const all: number[] = []
    for await (const n of client.count({ to: 3 })) all.push(n)
    return all
  }
  const first = await time.settled(
    Promise.all([client.say({ text: 'a' }), client.say({ text: 'b' }), collect()]),
    1_000,
  )
  assert.deepEqual(first, [{ text: 'a!' }, { text: 'b!' }, [1, 2, 3]])
  assert.deepEqual(said, ['load x/echo', 'set up x/echo', 'start x/echo'])
  assert.deepEqual(await time.settled(collect(), 1_000), [1, 2, 3])
  await parts.stop()
})

test('a call of a part that fails says so, and nothing of why', async () => {
  const { part, runner, start, connect, node, time } = create()
  const fails = (): Error => new Error('secret place /etc')
  await runner([part('x/echo', { protocols: [echo], activate: 'inbound-or-use' }, { fails })])
  const other = start('b')
  connect(node, other)
  const failed = await time.settled(
    other.port
      .to(node.id, echo)
      .say({ text: 'a' })
      .catch((error: unknown) => error),
    1_000,
  )
  assert.ok(isParleyError(failed, 'STA003'), String(failed))
  assert.equal(failed.details.reason, 'part-failed')
  assert.doesNotMatch(JSON.stringify([failed.message, failed.hint, failed.details]), /secret/)
  assert.match(String(node.logs.find(({ level }) => level === 'error')?.fields.error), /secret place/)
})

test('a protocol without handlers, and a module that is something else, are refused', async () => {
  const { part, runner } = create()
  await assert.rejects(runner([part('x/echo', { protocols: [echo] })]), refuses('MSG001', /does not answer echo.say/))
  const other = { ...part('x/a'), load: async () => ({ default: { begin: () => ({ api: 1 }) } }) as never }
  await assert.rejects(runner([other]), refuses('MSG001', /is not its implementation/))
})

test('what is used lazily starts what it needs, once', async () => {
  const { part, runner, said } = create()
  const base = part('x/base', { activate: 'inbound-or-use' })
  const top = part('x/top', { needs: { base }, activate: 'inbound-or-use' })
  const parts = await runner([top, base])
  assert.deepEqual(await Promise.all([parts.use(top), parts.use(top), parts.use(base)]), ['x/top', 'x/top', 'x/base'])
  assert.deepEqual(
    said.filter((line) => line.startsWith('start')),
    ['start x/base', 'start x/top'],
  )
  await assert.rejects(parts.use(tokenOf('x/other')), refuses('MSG001', /no part x\/other/))
})

test('options are checked before anything is loaded, and changed all or not at all', async () => {
  const { part, run, runner, said } = create()
  const options = z.strictObject({ most: z.int().default(3) })
  const sections: Record<string, unknown> = { 'x/b': { most: 'x' } }
  const section = ({ name }: AnyPart) => sections[name]
  assert.throws(() => run([part('x/b', { options })], { section }), refuses('MSG001', /x\/b cannot be used: most/))
  assert.throws(() => run([part('x/b')], { section }), refuses('MSG001', /takes no options/))
  assert.deepEqual(said, [])
  sections['x/b'] = { most: 5 }
  const taken: unknown[] = []
  const b = part('x/b', { options }, { reload: (next) => (taken.push(next) > 0 ? 'applied' : 'needs-restart') })
  const parts = await runner([b, part('x/c', { options })], { section })
  assert.throws(() => parts.reload({ 'x/b': { most: 6 }, 'x/c': { most: '' } }), refuses('MSG001', /x\/c/))
  assert.throws(() => parts.reload({ 'x/b': { most: 6 }, 'x/d': {} }), refuses('MSG001', /no part x\/d/))
  assert.deepEqual(taken, [])
  assert.deepEqual(parts.reload({ 'x/b': { most: 6 }, 'x/c': { most: 7 } }), {
    applied: ['x/b'],
    needsRestart: ['x/c'],
  })
  assert.deepEqual(taken, [{ most: 6 }])
})

test('extensions are there after setup, and gone with the part', async () => {
  const { part, run } = create()
  const point = extensionPoint<() => string>('letters')
  const parts = run([part('x/a', {}, { setup: ({ extend }) => extend(point, () => 'a') })])
  assert.deepEqual([...parts.extensions(point)], [])
  await parts.prepare()
  assert.deepEqual(
    [...parts.extensions(point)].map((fn) => fn()),
    ['a'],
  )
  await parts.start()
  await parts.stop()
  assert.deepEqual([...parts.extensions(point)], [])
})

test('a part of others that hangs fails after a while; one that comes late is stopped', async () => {
  const { node, time } = create()
  let finish = (): void => {}
  const stopped: number[] = []
  const slow: AnyPart = definePart({
    name: 'x/slow',
    description: 'For a test.',
    activate: 'start',
    load: async (): Loading<number> => ({
      default: {
        start: () =>
          new Promise((resolve) => {
            finish = () => resolve({ api: 1, stop: () => void stopped.push(1) })
          }),
      },
    }),
  })
  const parts = new PartRunner({ parts: [slow], provides: [], port: () => node.port })
  await parts.prepare()
  const failed = parts.start().catch((error: unknown) => error)
  await time.run(START_LIMIT_MS + 1)
  refuses('COM001', /did not start within/)(await failed)
  finish()
  await time.run(1)
  assert.deepEqual(stopped, [1])
})

test('figures, drains and readiness come from those that run; disk counts for the quota', async () => {
  const { part, runner, said } = create()
  const users: string[] = []
  const quota: RunnerDeps['quota'] = {
    add(name) {
      users.push(name)
      return () => void users.splice(0)
    },
  }
  const readiness = () => ({ reasons: ['no paper'], degraded: ['slow'] })
  const drain = async (leftMs: number): Promise<void> => void said.push(`drain ${leftMs}`)
  const a = part('x/a', {}, { readiness, drain, disk: { bytes: () => 3 } })
  const parts = await runner([a, part('x/b', { needs: { a } }, { drain: async () => void said.push('drain b') })], {
    quota,
  })
  assert.deepEqual(parts.readiness(), { reasons: ['no paper'], degraded: ['slow'] })
  assert.deepEqual(users, ['x/a'])
  said.length = 0
  await parts.drain(7)
  assert.deepEqual(said, ['drain b', 'drain 7'])
  await parts.stop()
  assert.deepEqual(users, [])
})
