/**
 * What an attempt waits for: a signal, an event, or a child. It ends meanwhile, and another one begins from the top. Keeps no
 * state.
 *
 * An attempt that waits for a child in its place keeps its slot; where all slots of a type are kept so, by parents that wait for
 * children of the same type, no child would ever begin. So it gives its slot back while nobody has begun the child. An attempt
 * whose child is in work stays where it is.
 */
import { within } from '../../async.ts'
import { checkedInput } from '../../checked-input.ts'
import { ParleyError, stateError } from '../../errors.ts'
import type { EventCursor } from '../../events/api.ts'
import type { Fence } from '../../journal/fencing/fence.ts'
import type { Json } from '../../journal/state/command-kind.ts'
import type { Port } from '../../port.ts'
import type { TaskHandle, TaskState, TaskWaitOptions } from '../client/task-api.ts'
import type { Listened } from '../events/apply-event-waits.ts'
import { eventRow, type Heard, type HeardEvent, ListenSchema, listenRow, MAX_POSITIONS } from '../events/event-wait.ts'
import type { Waited } from '../journal/attempt-changes.ts'
import type { TaskChange } from '../journal/task-changes.ts'
import { signalRow, waitRow } from '../task-record.ts'
import type { WaitForEventOptions, WaitForOptions } from './task-context.ts'

export interface WaitingAttempt {
  readonly id: string
  readonly fence: Fence
  /** What was recorded before. */
  readonly rows: ReadonlyMap<string, Json>
  /** Once in an attempt. @throws MSG001, STA002 */
  use(what: string, name: string, row: string): void
  /** @param change what is asked for once the attempt may end @returns what it was answered with @throws STA002 */
  decide(change: () => TaskChange): Promise<Json>
  /** The attempt ends here. */
  suspend(why: string): never
  /** Milliseconds since 1970. */
  now(): number
}

const until = ({ now }: WaitingAttempt, timeoutMs: number | undefined): { until?: number } =>
  timeoutMs === undefined ? {} : { until: now() + timeoutMs }

export const waitForSignal = async (
  attempt: WaitingAttempt,
  name: string,
  { status = 'input_required', prompt, timeoutMs }: WaitForOptions = {},
): Promise<Json> => {
  const { id, fence, rows, use, decide, suspend } = attempt
  use('wait', name, waitRow(name))
  const known = rows.get(signalRow(name))
  if (known !== undefined) return known
  const result = await decide(() => ({
    ...{ do: 'wait', id, fence, name, status },
    ...(prompt !== undefined && { prompt }),
    ...until(attempt, timeoutMs),
  }))
  const { given = null, isGiven, isOver } = result as unknown as Waited
  if (isGiven) return given
  if (!isOver) suspend(`it waits for ${name}`)
  throw new ParleyError('COM001', `nobody gave ${name} to the task ${id} in time`, {
    hint: 'handle.signal(name, value) gives it',
    details: { task: id, name },
  })
}

/** @throws STA003 `missed` */
const eventOf = (task: string, name: string, heard: Heard): HeardEvent => {
  if ('event' in heard) return heard.event
  throw stateError(
    'missed',
    `the event ${name} of the task ${task} may be gone: there is a hole in the history of its topic`,
    'ask its publisher what has become of it; keep more history: events.history',
    { task, name, ...heard.missed, retry: false },
  )
}

/** What of a cursor is journalled: who has published nothing yet counts by time, as do those that are too many. */
const journalled = ({ createdAt, positions }: EventCursor) => ({
  createdAt,
  positions: positions
    .filter(({ next }) => next > 1)
    .slice(0, MAX_POSITIONS)
    .map(({ publisher, epoch, next }) => ({ publisher, epoch, next })),
})

/** @param cursorOf where the history of a topic ends now */
export const waitForEvent = async (
  attempt: WaitingAttempt,
  cursorOf: (topic: string) => Promise<EventCursor>,
  name: string,
  { topic, filter, timeoutMs }: WaitForEventOptions,
): Promise<HeardEvent> => {
  const { id, fence, rows, use, decide, suspend } = attempt
  use('wait', name, eventRow(name))
  // This part wrote it.
  const known = rows.get(eventRow(name)) as unknown as Heard | undefined
  if (known !== undefined) return eventOf(id, name, known)
  const asked = () => ({ topic, ...(filter !== undefined && { filter }), ...until(attempt, timeoutMs) })
  const nowhere = { createdAt: attempt.now(), positions: [] }
  checkedInput(ListenSchema, { ...asked(), cursor: nowhere }, `the event ${name} cannot be waited for`)
  // Where it began stands in the journal.
  const cursor = rows.has(listenRow(name)) ? nowhere : journalled(await cursorOf(topic))
  const result = await decide(() => ({ do: 'listen', id, fence, name, ...asked(), cursor }))
  const { heard, isOver } = result as unknown as Listened
  if (heard !== undefined) return eventOf(id, name, heard)
  if (!isOver) suspend(`it waits for the event ${name}`)
  throw new ParleyError('COM001', `no event ${topic} came for the task ${id} in time`, {
    hint: 'is its publisher there? give it more time: timeoutMs',
    details: { task: id, name, topic },
  })
}

/** Milliseconds that an attempt waits in its place before it looks whether somebody works on its child, and between two looks. */
export const STAY_MS = 5_000
/** Milliseconds until the next attempt: longer than a sleep that is waited for in place. */
export const GIVEN_BACK_MS = 6_000
/** Begins the names of the sleeps in which a slot is given back. */
export const CHILD_WAIT = 'wait-for-child.'

export interface WaitingParent {
  readonly timers: Pick<Port['timers'], 'after'>
  /** Of the attempt. */
  readonly signal: AbortSignal
  /** Ends the attempt. @throws that it is over */
  giveBack(): Promise<void>
}

/** Nobody has begun it, or whoever had has ended. */
const isInLine = ({ status }: TaskState): boolean => status === 'submitted' || status === 'queued'

export const childHandle = (handle: TaskHandle, { timers, signal, giveBack }: WaitingParent): TaskHandle => {
  const untilEnded = async <T>(
    options: TaskWaitOptions,
    wait: (options: TaskWaitOptions) => Promise<T>,
  ): Promise<T> => {
    const own = options.signal === undefined ? signal : AbortSignal.any([options.signal, signal])
    const waiting = wait({ ...options, signal: own })
    while (!(await within(timers, STAY_MS, waiting))) {
      // One that cannot be looked at now is looked at again.
      const state = await handle.state({ timeoutMs: STAY_MS, signal: own }).catch(() => undefined)
      if (state === undefined || !isInLine(state)) continue
      // It ends with the attempt.
      waiting.catch(() => {})
      await giveBack()
    }
    return waiting
  }
  return {
    ...handle,
    result: (options = {}) => untilEnded(options, (own) => handle.result(own)) as never,
    ended: (options = {}) => untilEnded(options, (own) => handle.ended(own)),
  }
}
