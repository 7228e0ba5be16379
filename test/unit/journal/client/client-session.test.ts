/** The session of a client: its window, who waits for a place, and how a session is opened. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isParleyError } from '../../../../protocols/errors.ts'
import {
  acknowledgedUpTo,
  type ClientSession,
  createClientSessionWindow,
  MAX_WAITING_COMMANDS,
  type OpenSession,
} from '../../../../protocols/journal/client/client-session.ts'
import { MAX_OPEN_COMMANDS } from '../../../../protocols/journal/state/session-table.ts'

const NEVER = new AbortController().signal
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Sessions that open when the test says so. */
const create = () => {
  const asked: { signal: AbortSignal; open(session: number): void; fail(error: Error): void }[] = []
  const lanes = createClientSessionWindow(
    (signal) =>
      new Promise<OpenSession>((resolve, reject) => {
        asked.push({ signal, open: (session) => resolve({ mesh: 'm', session }), fail: reject })
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
  )
  return { lanes, asked }
}
const created = async () => {
  const { lanes, asked } = create()
  const lane = lanes.current(NEVER)
  asked[0]?.open(7)
  return { lanes, asked, lane: await lane }
}
/** Takes a place and a serial. */
const begin = async (lanes: ReturnType<typeof create>['lanes'], lane: ClientSession): Promise<number> => {
  await lanes.acquire(NEVER)
  const serial = lane.nextSerial
  lane.nextSerial += 1
  lane.openSerials.add(serial)
  return serial
}
const end = (lanes: ReturnType<typeof create>['lanes'], lane: ClientSession, serial: number): void => {
  lane.openSerials.delete(serial)
  lanes.release()
}

test('all who need a session wait for the same one', async () => {
  const { lanes, asked } = create()
  const all = [lanes.current(NEVER), lanes.current(NEVER), lanes.current(NEVER)]
  assert.equal(asked.length, 1)
  asked[0]?.open(7)
  const [first, ...rest] = await Promise.all(all)
  assert.ok(rest.every((lane) => lane === first))
  assert.equal(first?.session, 7)
  assert.equal(await lanes.current(NEVER), first)
  assert.deepEqual([asked.length, lanes.counts().sessions], [1, 1])
})

test('who asked first and gives up takes nothing from those who wait with it', async () => {
  const { lanes, asked } = create()
  const impatient = new AbortController()
  const first = lanes.current(impatient.signal)
  const second = lanes.current(NEVER)
  impatient.abort(new Error('no time'))
  await assert.rejects(first, /no time/)
  assert.equal(asked[0]?.signal.aborted, false)
  asked[0]?.open(7)
  assert.equal((await second).session, 7)
})

test('who waits for a session ends with its own signal, although others wait on', async () => {
  const { lanes } = create()
  const impatient = new AbortController()
  void lanes.current(NEVER)
  const second = lanes.current(impatient.signal)
  impatient.abort(new Error('no time'))
  await assert.rejects(second, /no time/)
})

test('a session that nobody waits for is not opened any more, and the next one asks again', async () => {
  const { lanes, asked } = create()
  const stops = [new AbortController(), new AbortController()]
  const waiting = stops.map(({ signal }) => lanes.current(signal).catch((error: Error) => error.message))
  for (const stop of stops) stop.abort(new Error('gone'))
  assert.deepEqual(await Promise.all(waiting), ['gone', 'gone'])
  assert.equal(asked[0]?.signal.aborted, true)
  const next = lanes.current(NEVER)
  assert.equal(asked.length, 2)
  asked[1]?.open(9)
  assert.equal((await next).session, 9)
})

test('a session that cannot be opened fails for all who wait, and the next one asks again', async () => {
  const { lanes, asked } = create()
  const waiting = [lanes.current(NEVER), lanes.current(NEVER)].map((one) => one.catch((error: Error) => error.message))
  asked[0]?.fail(new Error('refused'))
  assert.deepEqual(await Promise.all(waiting), ['refused', 'refused'])
  const next = lanes.current(NEVER)
  asked[1]?.open(2)
  assert.equal((await next).session, 2)
})

test('one that expired is opened again once, however many found out', async () => {
  const { lanes, asked, lane } = await created()
  lanes.markExpired(lane)
  const next = lanes.current(NEVER)
  asked[1]?.open(8)
  const other = await next
  lanes.markExpired(lane)
  assert.equal(await lanes.current(NEVER), other)
  assert.equal(asked.length, 2)
})

test('the window is as wide as the members keep answers, from the oldest that is open', async () => {
  const { lanes, lane } = await created()
  const serials: number[] = []
  for (let i = 0; i < MAX_OPEN_COMMANDS; i += 1) serials.push(await begin(lanes, lane))
  assert.equal(acknowledgedUpTo(lane), 0)
  let further = 0
  void begin(lanes, lane).then((serial) => {
    further = serial
  })
  // All but the oldest are answered: the window has not moved.
  for (const serial of serials.slice(1)) end(lanes, lane, serial)
  await turn()
  assert.deepEqual([further, lanes.counts().waiting, acknowledgedUpTo(lane)], [0, 1, 0])
  end(lanes, lane, serials[0] ?? 0)
  await turn()
  assert.deepEqual([further, lanes.counts().waiting], [MAX_OPEN_COMMANDS + 1, 0])
  assert.equal(acknowledgedUpTo(lane), MAX_OPEN_COMMANDS)
})

test('whoever comes never goes before those who wait', async () => {
  const { lanes, lane } = await created()
  const serials: number[] = []
  for (let i = 0; i < MAX_OPEN_COMMANDS; i += 1) serials.push(await begin(lanes, lane))
  const order: number[] = []
  for (const name of [1, 2, 3]) void lanes.acquire(NEVER).then(() => order.push(name))
  end(lanes, lane, serials[0] ?? 0)
  void lanes.acquire(NEVER).then(() => order.push(4))
  await turn()
  assert.deepEqual(order, [1])
  for (const serial of serials.slice(1, 4)) end(lanes, lane, serial)
  await turn()
  assert.deepEqual(order, [1, 2, 3, 4])
})

test('so many may wait, and one more is refused', async () => {
  const { lanes } = await created()
  for (let i = 0; i < MAX_OPEN_COMMANDS; i += 1) await lanes.acquire(NEVER)
  const stop = new AbortController()
  const waiting = Array.from({ length: MAX_WAITING_COMMANDS }, () => lanes.acquire(stop.signal).catch(() => 'ended'))
  await assert.rejects(lanes.acquire(NEVER), (error) => isParleyError(error, 'COM003'))
  assert.equal(lanes.counts().waiting, MAX_WAITING_COMMANDS)
  stop.abort(new Error('no time'))
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set(['ended']))
  assert.deepEqual(lanes.counts(), { waiting: 0, open: MAX_OPEN_COMMANDS, sessions: 1 })
  lanes.release()
  await lanes.acquire(NEVER)
})

test('who gave up before does not enter', async () => {
  const { lanes } = create()
  await assert.rejects(lanes.acquire(AbortSignal.abort(new Error('no time'))), /no time/)
  assert.equal(lanes.counts().open, 0)
})
