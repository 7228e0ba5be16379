/**
 * Whether this node's agent gets on with its work: the judge of discovery/activity.ts over the node's slots and the threads
 * of its agents.
 *
 * It looks a few times within timings.stuckAfterMs, and whenever somebody asks. When the agent gets stuck, and when it
 * goes on, that is logged, and told to everyone in the agent's record; how it is otherwise goes with the messages of
 * membership. State: the last judgement, the threads.
 */
import { type Activity, type Judgement, judge } from '../discovery/activity.ts'
import type { Log, Metrics, Port, Stop } from '../protocols/port.ts'
import type { Slots } from '../protocols/wire/slots.ts'

/** A thread of its own that runs requests of this node. */
export interface WatchedThread {
  /** Requests in it. */
  atWork(): number
  /** Another number at least each BEAT_MS while its event loop turns. */
  beats(): number
  /** For the log. */
  readonly name: string
}

export interface NodeActivity {
  current(): Activity
  /** Counts a thread in until the returned function is called. */
  watch(thread: WatchedThread): Stop
}

/** Work that does not come as requests: handlers of messages. */
export interface OtherWork {
  atWork(): number
  /** Another number after each sign that it goes on. */
  signs(): number
}

export interface ActivityDeps {
  readonly port: Pick<Port, 'clock' | 'timers'>
  readonly log: Log
  readonly metrics: Metrics
  readonly slots: Pick<Slots, 'active' | 'signs' | 'progress'>
  /** Tells everyone whether it is stuck. */
  tell(isStuck: boolean): void
}

/** How often a thread shows that its event loop turns; well within the shortest stuckAfterMs. */
export const BEAT_MS = 250
const LOOKS = 10
const MAX_PERIOD_MS = 1_000
/** Of a period: timers are a fifth late on purpose, and a little more in a busy process. */
const LATE = 3

export const createActivity = (
  { port, log, metrics, slots, tell }: ActivityDeps,
  { stuckAfterMs }: { readonly stuckAfterMs: number },
): NodeActivity & { include(work: OtherWork): void; stop(): void } => {
  const others: OtherWork[] = []
  const threads = new Set<WatchedThread>()
  const periodMs = Math.min(MAX_PERIOD_MS, stuckAfterMs / LOOKS)
  const times = { stuckAfterMs, lateMs: LATE * periodMs }
  let last: Judgement | undefined

  const changed = (now: Judgement): void => {
    const isStuck = now.state === 'stuck'
    if (isStuck) {
      const blocked = [...threads].filter((thread) => thread.atWork() > 0).map(({ name }) => name)
      log.warn(
        now.why === 'blocked'
          ? 'an agent is stuck: its thread has requests in work and does not turn'
          : 'the agent is stuck: requests are in work, and none of them ended or reported progress',
        {
          requests: now.atWork,
          quietMs: Math.round(now.lookedAtMs - now.signAtMs),
          ...(now.why === 'blocked' && { agents: blocked }),
          hint: 'call progress() from handlers that take long, and look at what the agent waits for',
        },
      )
    } else log.info('the agent is not stuck any more', { state: now.state })
    tell(isStuck)
  }

  const look = (): Judgement => {
    const load = {
      atWork: others.reduce((sum, work) => sum + work.atWork(), slots.active()),
      signs: others.reduce((sum, work) => sum + work.signs(), slots.signs()),
      threads: [...threads].map((key) => ({ key, atWork: key.atWork(), beats: key.beats() })),
    }
    const before = last
    last = judge(before, load, port.clock.monotonic(), times)
    if ((before?.state === 'stuck') !== (last.state === 'stuck')) changed(last)
    return last
  }

  metrics.gauge('agent_stuck', 'Whether the agent of this node is stuck, 0 or 1', () =>
    look().state === 'stuck' ? 1 : 0,
  )
  const stop = port.timers.every(periodMs, look)

  return {
    current() {
      const { state, sinceAtMs, lookedAtMs } = look()
      const progress = state === 'alive' ? undefined : slots.progress()
      return {
        state,
        sinceMs: Math.round(lookedAtMs - sinceAtMs),
        ...(progress === undefined ? {} : { progress }),
      }
    },
    watch(thread) {
      threads.add(thread)
      return () => void threads.delete(thread)
    },
    include: (work) => void others.push(work),
    stop,
  }
}
