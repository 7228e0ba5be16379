/** Messages to one peer, as a machine: windows, order, priorities, attempts, and that no number is lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_AHEAD, type WindowEntry } from '../../../../../protocols/delivery/send/peer/send-lane.ts'
import { SendWindow } from '../../../../../protocols/delivery/send/peer/send-window.ts'

const POLICY = { maxRetries: 2, initialDelayMs: 100, maxDelayMs: 1_000 }
const LIMITS = { window: 4, windowBytes: 1_000, ackTimeoutMs: 500 }
const FAULT = { code: 'APP001', message: 'it failed' }

const entryOf = (lane: number, sequence: number, about: Partial<WindowEntry> = {}): WindowEntry => ({
  lane,
  sequence,
  size: 100,
  rank: 1,
  policy: POLICY,
  expiresAt: undefined,
  isSkip: false,
  stage: 'queued',
  attempts: 0,
  dueAt: 0,
  fault: undefined,
  firstFailureAt: undefined,
  lastFailureAt: undefined,
  ...about,
})

const put = (machine: SendWindow<WindowEntry>, lane: number, about: Partial<WindowEntry> = {}): WindowEntry => {
  const entry = entryOf(lane, machine.reserveNumber(lane), about)
  machine.enqueue(entry)
  return entry
}

const machineOf = (limits: Partial<typeof LIMITS> = {}, isUp = true): SendWindow<WindowEntry> => {
  const machine = new SendWindow<WindowEntry>({ ...LIMITS, ...limits }, () => 0.5)
  if (isUp) machine.sessionOpened(() => false, 1_000)
  return machine
}

const numbers = (entries: readonly WindowEntry[]): number[] => entries.map(({ sequence }) => sequence)

/** A step of each of these kinds. */
type Of<Kind, About> = Kind extends string ? { readonly kind: Kind } & Readonly<About> : never
/** One step of a run; numbers choose among what there is. */
type Action =
  | Of<'number' | 'take', { lane: number; size: number; rank: number }>
  | Of<'pump', { most: number }>
  | Of<'ack' | 'held' | 'missing' | 'skip' | 'again' | 'withdraw', { which: number }>
  | Of<'fail', { which: number; code: string }>
  | Of<'tick' | 'expire', { ms: number }>
  | Of<'down', unknown>
  | Of<'welcome', { done: number; window: number }>

const which = fc.nat({ max: 1_000 })
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('number' as const, 'take' as const, 'take' as const),
      lane: fc.nat({ max: 2 }),
      size: fc.constantFrom(10, 100, 400, 2_000),
      rank: fc.nat({ max: 3 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('pump' as const), most: fc.constantFrom(0, 1, 3, 1_000) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'ack' as const,
        'ack' as const,
        'held' as const,
        'missing' as const,
        'skip' as const,
        'again' as const,
        'withdraw' as const,
      ),
      which,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('fail' as const),
      which,
      code: fc.constantFrom('APP001', 'COM003', 'MSG001'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('tick' as const, 'expire' as const), ms: fc.nat({ max: 1_500 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'down' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('welcome' as const),
      done: fc.nat({ max: 3 }),
      window: fc.integer({ min: 1, max: 6 }),
    }),
  },
)

/** A run of the machine beside a model that only remembers every number. */
const createRun = () => {
  const machine = new SendWindow<WindowEntry>(LIMITS, () => 0.5)
  let nowMs = 0
  let window = LIMITS.window
  let isUp = false
  const given = new Map<number, number>()
  const reserved: WindowEntry[] = []
  const taken: WindowEntry[] = []
  const settled = new Set<WindowEntry>()
  const forGood: WindowEntry[] = []
  /** Sent once at least and not settled, or given up in the window. */
  const flying = new Set<WindowEntry>()
  const lastSent = new Map<number, number>()
  const pick = <T>(list: readonly T[], at: number): T | undefined => list[at % Math.max(1, list.length)]
  const settle = (entries: readonly WindowEntry[]): void => {
    for (const entry of entries) {
      assert.ok(!settled.has(entry), 'a number is settled once')
      settled.add(entry)
      flying.delete(entry)
      const at = forGood.indexOf(entry)
      if (at >= 0) forGood.splice(at, 1)
    }
  }
  const commit = (): void => {
    const entry = reserved.shift()
    if (entry === undefined) return
    machine.enqueue(entry)
    taken.push(entry)
  }

  const pump = (most: number): void => {
    const before = machine.inWindow()
    const sent = machine.nextToSend(nowMs, most)
    assert.ok(sent.length <= most)
    if (!isUp) assert.deepEqual(sent, [])
    for (const entry of sent) {
      assert.ok(!settled.has(entry), 'what is settled is not sent')
      assert.equal(entry.stage, 'sent')
      if (!flying.has(entry)) {
        const isLater = entry.sequence > (lastSent.get(entry.lane) ?? 0)
        assert.ok(isLater || entry.fault !== undefined, 'a lane keeps its order, but for what was given up in between')
        if (isLater) lastSent.set(entry.lane, entry.sequence)
        flying.add(entry)
      }
    }
    assert.ok(machine.inWindow() <= Math.max(before, window), 'the window is kept')
    const bytes = [...flying].reduce((sum, { size, isParked }) => sum + (isParked === true ? 0 : size), 0)
    if (machine.inWindow() > before && machine.inWindow() > 1)
      assert.ok(bytes <= LIMITS.windowBytes, `${bytes} on their way`)
  }

  const run = (one: Action): void => {
    if (one.kind === 'number' || one.kind === 'take') {
      const sequence = machine.reserveNumber(one.lane)
      assert.equal(sequence, (given.get(one.lane) ?? 0) + 1)
      given.set(one.lane, sequence)
      const expiresAt = sequence % 3 === 0 ? nowMs + 700 : undefined
      reserved.push(entryOf(one.lane, sequence, { size: one.size, rank: one.rank, expiresAt }))
      if (one.kind === 'take') while (reserved.length > 0) commit()
    } else if (one.kind === 'pump') pump(one.most)
    else if (one.kind === 'down') {
      machine.sessionClosed()
      isUp = false
    } else if (one.kind === 'welcome') {
      window = Math.min(LIMITS.window, one.window)
      isUp = true
      const done = new Set([...flying].slice(0, one.done))
      settle(
        machine.sessionOpened(
          (lane, sequence) => [...done].some((e) => e.lane === lane && e.sequence === sequence),
          one.window,
        ),
      )
    } else if (one.kind === 'tick') {
      nowMs += one.ms
      forGood.push(...machine.tick(nowMs, nowMs).failed)
    } else if (one.kind === 'expire') forGood.push(...machine.expired(nowMs + one.ms))
    else if (one.kind === 'withdraw') {
      const open = taken.filter((entry) => !settled.has(entry) && entry.stage !== 'failed' && !entry.isSkip)
      const gone = open.filter((_, i) => i % 3 === one.which % 3)
      machine.withdraw(new Set(gone))
      settle(gone)
    } else if (one.kind === 'skip' || one.kind === 'again') {
      const entry = pick(forGood, one.which)
      if (entry === undefined) return
      forGood.splice(forGood.indexOf(entry), 1)
      if (one.kind === 'skip') machine.skip(entry)
      else machine.retryAt(entry, nowMs + 10)
    } else {
      const entry = pick([...flying], one.which)
      if (entry === undefined) return
      const { lane, sequence } = entry
      if (one.kind === 'ack') settle(machine.acked(lane, [sequence, sequence, 99_999]))
      else if (one.kind === 'held') machine.held(lane, [sequence], nowMs)
      else if (one.kind === 'missing') {
        const next = (given.get(lane) ?? 0) + 1
        const asked = Array.from({ length: next }, (_, i) => i + 1)
        const gone = asked.filter((n) => [...settled].some((e) => e.lane === lane && e.sequence === n))
        assert.deepEqual(machine.missing(lane, asked), gone, 'a skip for what is settled, and for nothing else')
      } else {
        const failed = machine.failed(lane, sequence, { code: one.code, message: 'it failed' }, nowMs, nowMs)
        if (failed !== undefined) forGood.push(failed)
        assert.ok(entry.attempts <= entry.policy.maxRetries + 1)
      }
    }
  }

  const check = (): void => {
    assert.equal(machine.size(), taken.length - settled.size)
    assert.equal(machine.entries().length, machine.size())
    const bases = machine.bases()
    for (const [lane, last] of given) {
      const open = [...reserved, ...taken].filter((entry) => entry.lane === lane && !settled.has(entry))
      assert.equal(bases.get(lane), Math.min(last + 1, ...numbers(open)), `the lowest number of lane ${lane}`)
      assert.equal(machine.next().get(lane), last + 1)
    }
  }

  /** The peer is there and processes everything. @returns whether all ended */
  const drain = (): boolean => {
    while (reserved.length > 0) commit()
    run({ kind: 'welcome', done: 0, window: LIMITS.window })
    for (let turn = 0; turn < 2_000 && machine.size() > 0; turn += 1) {
      while (forGood.length > 0) run({ kind: 'skip', which: 0 })
      pump(1_000)
      const flown = [...flying].filter(({ stage }) => stage === 'sent')
      for (const { lane, sequence } of flown) settle(machine.acked(lane, [sequence]))
      run({ kind: 'tick', ms: 100 })
      run({ kind: 'expire', ms: 0 })
    }
    check()
    return machine.size() === 0 && settled.size === taken.length
  }
  return { run, check, drain }
}

test('whatever happens, bounds and order are kept, and every number is acknowledged or skipped at the end', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80, size: 'max' }), (actions) => {
      const { run, check, drain } = createRun()
      for (const one of actions) {
        run(one)
        check()
      }
      assert.ok(drain(), 'nothing is left over')
    }),
    { numRuns: 500 },
  )
})

test('as many messages as the window has are on their way, and not one more', () => {
  const machine = machineOf()
  for (let i = 0; i < 6; i += 1) put(machine, 0)
  assert.deepEqual(numbers(machine.nextToSend(0)), [1, 2, 3, 4])
  assert.deepEqual(machine.nextToSend(0), [])
  machine.acked(0, [2])
  assert.deepEqual(numbers(machine.nextToSend(0)), [5])
})

test('the bytes on their way stay within their bound, but for one message that is larger', () => {
  const machine = machineOf()
  for (const size of [500, 500, 1]) put(machine, 0, { size })
  assert.deepEqual(numbers(machine.nextToSend(0)), [1, 2], 'exactly the bound')
  machine.acked(0, [1, 2])
  assert.deepEqual(numbers(machine.nextToSend(0)), [3])
  machine.acked(0, [3])
  put(machine, 0, { size: 5_000 })
  put(machine, 0, { size: 1 })
  assert.deepEqual(numbers(machine.nextToSend(0)), [4], 'it goes alone')
})

test('the most urgent head goes first, and a part of the window is kept for what is urgent', () => {
  const machine = machineOf({ window: 12 })
  const low = put(machine, 0, { rank: 0 })
  const critical = put(machine, 1, { rank: 3 })
  const high = put(machine, 2, { rank: 2 })
  assert.deepEqual(machine.nextToSend(0), [critical, high, low])
  for (let i = 0; i < 20; i += 1) put(machine, 0, { rank: 1, size: 1 })
  assert.equal(machine.nextToSend(0).length, 8, 'eleven of twelve in all')
  put(machine, 1, { rank: 2 })
  assert.equal(machine.nextToSend(0).length, 1)
  put(machine, 1, { rank: 2 })
  assert.equal(machine.nextToSend(0).length, 0)
})

test('a lane does not run ahead of its lowest number further than its receiver keeps', () => {
  const machine = machineOf({ window: 1_000, windowBytes: 1e9 })
  for (let i = 0; i < MAX_AHEAD + 2; i += 1) put(machine, 0, { rank: 3 })
  const sent: number[] = []
  for (let some = machine.nextToSend(0); some.length > 0; some = machine.nextToSend(0)) {
    sent.push(...numbers(some))
    machine.acked(
      0,
      numbers(some).filter((sequence) => sequence !== 1),
    )
  }
  assert.equal(sent.at(-1), MAX_AHEAD, 'and not one more')
  machine.acked(0, [1])
  assert.deepEqual(numbers(machine.nextToSend(0)), [MAX_AHEAD + 1, MAX_AHEAD + 2])
})

test('pauses double up to their bound, give or take a quarter, and heed what the peer asks for', () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true })
  fc.assert(
    fc.property(share, fc.nat({ max: 12 }), fc.option(fc.nat({ max: 200_000 })), (chance, attempts, told) => {
      const machine = new SendWindow<WindowEntry>(LIMITS, () => chance)
      machine.sessionOpened(() => false, 10)
      const entry = put(machine, 0, { policy: { maxRetries: 20, initialDelayMs: 100, maxDelayMs: 1_000 }, attempts })
      machine.nextToSend(0)
      machine.failed(0, 1, { ...FAULT, ...(told !== null && { details: { retryAfterMs: told } }) }, 0, 0)
      const top = Math.min(1_000, 100 * 2 ** attempts)
      const least = Math.min(told ?? 0, 60_000)
      assert.equal(entry.stage, 'paused')
      assert.ok(entry.dueAt >= Math.max(least, 0.75 * top) && entry.dueAt <= Math.max(least, 1_000, top))
    }),
  )
})

test('a message fails for good after its retries and not before, at once where no retry can help, and never for an overload', () => {
  const machine = machineOf()
  const entry = put(machine, 0)
  for (let attempt = 0; attempt <= POLICY.maxRetries; attempt += 1) {
    machine.tick(10_000 * attempt, 0)
    machine.nextToSend(10_000 * attempt)
    const forGood = machine.failed(0, 1, FAULT, 10_000 * attempt, 0)
    assert.equal(forGood, attempt < POLICY.maxRetries ? undefined : entry)
  }
  const other = put(machine, 1)
  machine.nextToSend(0)
  assert.equal(machine.failed(1, 1, { code: 'MSG001', message: '' }, 0, 0), other)
  const third = put(machine, 2)
  for (let i = 0; i < 50; i += 1) {
    machine.tick(100_000 * (i + 1), 0)
    machine.nextToSend(100_000 * (i + 1))
    assert.equal(machine.failed(2, 1, { code: 'COM003', message: '' }, 100_000 * (i + 1), 0), undefined)
  }
  assert.equal(third.attempts, 0)
})

test('without a sign for the whole time, and not before, an attempt has failed; a sign puts it off', () => {
  const machine = machineOf()
  const entry = put(machine, 0)
  machine.nextToSend(0)
  assert.equal(machine.tick(499, 0).late, 0)
  machine.held(0, [1], 400)
  assert.equal(machine.tick(899, 0).late, 0)
  assert.equal(machine.tick(900, 0).late, 1)
  assert.equal(entry.attempts, 1)
  machine.sessionClosed()
  assert.equal(machine.tick(1e9, 0).late, 0, 'who is not there is not late')
})

test('what expires before it is sent fails for good, what is on its way does not', () => {
  const machine = machineOf({ window: 1 })
  const sent = put(machine, 0, { expiresAt: 100 })
  const waiting = put(machine, 0, { expiresAt: 100 })
  machine.nextToSend(0)
  assert.deepEqual(machine.expired(99), [])
  assert.deepEqual(machine.expired(100), [waiting])
  assert.deepEqual(machine.expired(100), [], 'once')
  assert.equal(sent.stage, 'sent')
  machine.skip(waiting)
  machine.acked(0, [1])
  assert.deepEqual(machine.nextToSend(0), [waiting])
  assert.ok(waiting.isSkip)
})

test('a greeting settles what was processed, and has all the rest sent again', () => {
  const machine = machineOf()
  for (let i = 0; i < 5; i += 1) put(machine, 0)
  machine.nextToSend(0)
  machine.sessionClosed()
  assert.deepEqual(machine.nextToSend(0), [])
  assert.deepEqual(numbers(machine.sessionOpened((_, sequence) => sequence <= 2, 4)), [1, 2])
  assert.deepEqual(numbers(machine.nextToSend(0)), [3, 4, 5])
})

test('what waits for an overloaded peer has no place in the window, and others go past it', () => {
  const machine = machineOf({ window: 12, windowBytes: 1e9 })
  machine.sessionOpened(() => false, 12)
  for (let lane = 0; lane < 11; lane += 1) machine.enqueue(entryOf(lane, machine.reserveNumber(lane), {}))
  assert.equal(machine.nextToSend(0).length, 11)
  for (let lane = 0; lane < 11; lane += 1) machine.failed(lane, 1, { code: 'COM003', message: 'no room' }, 0, 0)
  assert.equal(machine.inWindow(), 0)
  for (let lane = 20; lane < 31; lane += 1) machine.enqueue(entryOf(lane, machine.reserveNumber(lane), {}))
  assert.equal(machine.nextToSend(1).length, 11)
  // They come back when they are due, as what others of their lanes may wait for, and count for nothing while the window is full.
  machine.tick(60_000, 60_000)
  assert.ok(machine.nextToSend(60_000).some(({ lane }) => lane === 3))
  assert.ok(machine.inWindow() <= 12)
  for (let lane = 0; lane < 11; lane += 1) assert.equal(machine.acked(lane, [1]).length, 1)
  assert.equal(machine.size(), 11)
})

test('what is withdrawn leaves the window and the queue, is not sent any more, and its number is skipped where it is asked for', () => {
  const machine = machineOf()
  const all = Array.from({ length: 6 }, () => put(machine, 0))
  assert.deepEqual(numbers(machine.nextToSend(0)), [1, 2, 3, 4])
  machine.withdraw(new Set(all.filter(({ sequence }) => sequence % 2 === 1)))
  assert.deepEqual([machine.size(), machine.inWindow(), machine.bases().get(0)], [3, 2, 2])
  assert.deepEqual(numbers(machine.nextToSend(0)), [6])
  assert.deepEqual(machine.missing(0, [1, 3, 4, 5]), [1, 3, 5])
  machine.withdraw(new Set(all))
  assert.deepEqual([machine.size(), machine.inWindow(), machine.bases().get(0)], [0, 0, 7])
  assert.deepEqual([numbers([put(machine, 0)]), numbers(machine.nextToSend(0))], [[7], [7]])
})
