/**
 * Whether this node's agent gets on with its work: the judge of discovery/agent-activity.ts over the node's slots and the threads
 * of its agents.
 *
 * It looks a few times within timings.stuckAfterMs, and whenever somebody asks. When the agent gets stuck, and when it
 * goes on, that is logged, and told to everyone in the agent's record; how it is otherwise goes with the messages of
 * membership. State: the last judgement, the threads.
 */
import { type Activity, type ActivityJudgement, judgeActivity } from '../../discovery/agent-activity.ts'
import type { Log, Metrics, Port, Stop } from '../../protocols/port.ts'
import type { ConcurrencyLimiter } from '../../protocols/wire/responder/concurrency-limiter.ts'

/** A thread of its own that runs requests of this node. */
export interface WatchedThread {
  /** Requests in it. */
  inWork(): number
  /** Another number at least each BEAT_MS while its event loop turns. */
  beats(): number
  /** For the log. */
  readonly name: string
}

export interface StuckDetection {
  current(): Activity
  /** Counts a thread in until the returned function is called. */
  watch(thread: WatchedThread): Stop
}

/** Work that does not come as requests: handlers of messages. */
export interface OtherWork {
  inWork(): number
  /** Another number after each sign that it goes on. */
  signs(): number
}

export interface StuckDetectionDeps {
  readonly port: Pick<Port, 'clock' | 'timers'>
  readonly log: Log
  readonly metrics: Metrics
  readonly slots: Pick<ConcurrencyLimiter, 'active' | 'activityCount' | 'lastProgress'>
  /** Tells everyone whether it is stuck. */
  announce(isStuck: boolean): void
}

/** How often a thread shows that its event loop turns; well within the shortest stuckAfterMs. */
export const BEAT_MS = 250
const LOOKS = 10
const MAX_PERIOD_MS = 1_000
/** Of a period: timers are a fifth late on purpose, and a little more in a busy process. */
const LATE = 3

export const createStuckDetection = (
  { port, log, metrics, slots, announce }: StuckDetectionDeps,
  { stuckAfterMs }: { readonly stuckAfterMs: number },
): StuckDetection & { include(work: OtherWork): void; stop(): void } => {
  const others: OtherWork[] = []
  const threads = new Set<WatchedThread>()
  const periodMs = Math.min(MAX_PERIOD_MS, stuckAfterMs / LOOKS)
  const times = { stuckAfterMs, lateMs: LATE * periodMs }
  let last: ActivityJudgement | undefined

  const changed = (now: ActivityJudgement): void => {
    const isStuck = now.state === 'stuck'
    if (isStuck) {
      const blocked = [...threads].filter((thread) => thread.inWork() > 0).map(({ name }) => name)
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
    announce(isStuck)
  }

  const look = (): ActivityJudgement => {
    const load = {
      atWork: others.reduce((sum, work) => sum + work.inWork(), slots.active()),
      signs: others.reduce((sum, work) => sum + work.signs(), slots.activityCount()),
      threads: [...threads].map((key) => ({ key, atWork: key.inWork(), beats: key.beats() })),
    }
    const before = last
    last = judgeActivity(before, load, port.clock.monotonic(), times)
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
      const progress = state === 'alive' ? undefined : slots.lastProgress()
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
