/**
 * The coordinator follows the events that tasks wait for, each from where the journal says that its wait begins, through the
 * history where that is longer ago, and has the first one that fits given to its task. A hole in the history ends the wait: the
 * event may have been in it. State: the subscriptions, of one epoch, at most MAX_EVENT_WAITS; which was begun last.
 */
import { pause, waitFor } from '../../async.ts'
import { isParleyError } from '../../errors.ts'
import type { EventCursor, Events, Subscription } from '../../events/api.ts'
import type { Missed } from '../../events/event.ts'
import { firstWord } from '../../events/topic.ts'
import type { JournalMember } from '../../journal/journal-server.ts'
import type { Port } from '../../port.ts'
import type { TaskBatcher } from '../client/task-decisions.ts'
import { readTask, signalsOf, taskKey } from '../task-record.ts'
import {
  type Heard,
  heardEvent,
  type ListenRow,
  ListenSchema,
  listenRow,
  MAX_EVENT_WAITS,
  MAX_POSITIONS,
  matches,
} from './event-wait.ts'
import { EVENT_WAIT_PREFIX } from './event-wait-index.ts'

const LOOK_MS = 250
/** How often the places of waits move on in the journal. */
const ADVANCE_MS = 60_000
/** Milliseconds until what could not be followed, or decided, is tried again. */
const AGAIN_MS = 2_000
/** Subscriptions that begin at once: each asks the neighbours what they hold. */
const MAX_OPENING = 8
const LIST_BYTES = 1024 * 1024

export interface EventWatcherDeps {
  readonly port: Pick<Port, 'timers' | 'log'>
  readonly batcher: Pick<TaskBatcher, 'decide'>
  readonly events: Pick<Events, 'subscribe'>
  member(): Pick<JournalMember, 'machine'> | undefined
}

/** One wait, from where the record of it was written. */
interface Watch {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly end: AbortController
  /** Once it is there. */
  subscription?: Pick<Subscription, 'cursor' | 'stop'>
  /** As the journal has it. */
  positions?: string
}

/** Of publishers beyond the first ones events count by time, from the beginning of the wait on. */
const kept = ({ createdAt, positions }: EventCursor): ListenRow['cursor'] => ({
  createdAt,
  positions: positions.slice(0, MAX_POSITIONS).map(({ publisher, epoch, next }) => ({ publisher, epoch, next })),
})
const placesIn = (cursor: EventCursor): string => JSON.stringify(kept(cursor).positions)

export class EventWatcher {
  readonly #deps: EventWatcherDeps
  readonly #epoch: number
  readonly #signal: AbortSignal
  readonly #watches = new Map<string, Watch>()
  #opening = 0
  /** Others come first: what cannot be followed comes again and again. */
  #openedLast = ''

  constructor(deps: EventWatcherDeps, epoch: number, signal: AbortSignal) {
    this.#deps = deps
    this.#epoch = epoch
    this.#signal = signal
  }

  /** Resolves once this node coordinates no more. */
  async run(): Promise<void> {
    const { timers } = this.#deps.port
    const stopAdvancing = timers.every(ADVANCE_MS, () => {
      for (const watch of this.#watches.values()) void this.#advance(watch)
    })
    try {
      while (!this.#signal.aborted) {
        this.#look()
        await waitFor(this.#signal, (resolve) => timers.after(LOOK_MS, resolve)).catch(() => {})
      }
    } finally {
      stopAdvancing()
      for (const { end } of this.#watches.values()) end.abort()
      this.#watches.clear()
    }
  }

  #look(): void {
    const { records } = this.#deps.member()?.machine ?? {}
    const found = records?.list(EVENT_WAIT_PREFIX, '', MAX_EVENT_WAITS, LIST_BYTES) ?? []
    const open = new Map(found.map((record) => [record.key.slice(EVENT_WAIT_PREFIX.length), record]))
    for (const [id, { end, version }] of this.#watches) {
      if (open.get(id)?.version === version) continue
      end.abort()
      this.#watches.delete(id)
    }
    const all = [...open]
    const first = Math.max(
      0,
      all.findIndex(([id]) => id > this.#openedLast),
    )
    for (const [id, { version }] of [...all.slice(first), ...all.slice(0, first)]) {
      if (this.#opening >= MAX_OPENING) return
      const name = readTask(records?.get(taskKey(id))?.value)?.wait?.name
      if (this.#watches.has(id) || name === undefined) continue
      const watch = { id, name, version, end: new AbortController() }
      this.#watches.set(id, watch)
      this.#openedLast = id
      void this.#open(watch)
    }
  }

  async #open(watch: Watch): Promise<void> {
    const { member, port } = this.#deps
    const { id, name, end } = watch
    try {
      this.#opening += 1
      try {
        const row = await member()?.machine.records.collections.read(signalsOf(id), listenRow(name))
        await this.#follow(watch, ListenSchema.parse(row))
      } finally {
        this.#opening -= 1
      }
    } catch (error) {
      if (end.signal.aborted) return
      port.log.warn('the event that a task waits for cannot be followed; it is tried again', { task: id, name, error })
      await pause(port.timers, AGAIN_MS, end.signal)
      // The next look begins anew.
      if (this.#watches.get(id) === watch) this.#watches.delete(id)
    }
  }

  /** Resolves once the subscription is there. */
  async #follow(watch: Watch, { topic, filter = {}, cursor }: ListenRow): Promise<void> {
    const { signal } = watch.end
    const word = firstWord(topic)
    const known = new Set(cursor.positions.map(({ publisher }) => publisher))
    const positions = cursor.positions.map((position) => ({ ...position, word }))
    let isHeard = false
    const hear = async (heard: Heard): Promise<void> => {
      if (isHeard || signal.aborted) return
      isHeard = true
      await this.#decide(watch, heard)
      void watch.subscription?.stop()
    }
    watch.subscription = await this.#deps.events.subscribe(
      topic,
      async (event) => {
        const isLater = known.has(event.source) || event.timestamp >= cursor.createdAt
        if (isLater && matches(filter, event)) await hear({ event: heardEvent(event) })
      },
      {
        ...{ signal, from: { cursor: { createdAt: cursor.createdAt, positions } } },
        onMissed: ({ publisher, epoch, from, to }: Missed) => {
          // What another publisher said is not waited for.
          if (filter.source === undefined || filter.source === publisher)
            void hear({ missed: { publisher, epoch, from, to } })
        },
      },
    )
    watch.positions = placesIn({ createdAt: cursor.createdAt, positions })
  }

  /** What nobody waits for any more may go from histories. Another look is made later where it is not decided. */
  async #advance(watch: Watch): Promise<void> {
    const cursor = watch.subscription?.cursor()
    const positions = cursor && placesIn(cursor)
    if (cursor === undefined || positions === undefined || positions === watch.positions || watch.end.signal.aborted)
      return
    const change = { do: 'advance', epoch: this.#epoch, id: watch.id, name: watch.name } as const
    try {
      await this.#deps.batcher.decide({ ...change, cursor: kept(cursor) }, { signal: this.#signal })
      watch.positions = positions
    } catch (error) {
      if (this.#signal.aborted || isParleyError(error, 'STA001', 'STA002', 'STA003')) return
      this.#deps.port.log.warn('the place of a wait for an event did not move on', { task: watch.id, error })
    }
  }

  /** Until it is decided, or void. */
  async #decide({ id, name, end }: Watch, heard: Heard): Promise<void> {
    const { batcher, port } = this.#deps
    while (!end.signal.aborted && !this.#signal.aborted) {
      try {
        await batcher.decide({ do: 'hear', epoch: this.#epoch, id, name, heard }, { signal: this.#signal })
        return
      } catch (error) {
        if (this.#signal.aborted || isParleyError(error, 'STA001', 'STA002', 'STA003')) return
        port.log.warn('an event was not given to the task that waits for it; it is tried again', { task: id, error })
        await pause(port.timers, AGAIN_MS, end.signal)
      }
    }
  }
}
