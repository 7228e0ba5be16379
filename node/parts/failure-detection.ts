/**
 * Who is there, in a running node: the failure detector (discovery/swim/swim.ts) beside the directory.
 *
 * What the detector finds goes into the directory: a suspect gets no new work while others are there, who is dead leaves
 * the view, and whose connection still stands is cut off, which fails what waits for it. What the directory knows goes
 * into the detector: who has started anew, who said goodbye. A node that hears that it was called dead writes its record
 * anew, so that it is in every view again. Listeners hear of every change, for work that has to move elsewhere.
 * State: listeners. Wire id: `/parley/presence/1`.
 */
import type { Activity } from '../../discovery/agent-activity.ts'
import type { Directory } from '../../discovery/directory/directory.ts'
import { createSwim, type Swim } from '../../discovery/swim/swim.ts'
import type { MemberStatusChange, SwimPort } from '../../discovery/swim/swim-driver.ts'
import { suspicionFor } from '../../discovery/swim/swim-settings.ts'
import type { Log, Stop } from '../../protocols/port.ts'

export interface FailureDetectionOptions {
  /** See the timings of the same names in tuning.ts. */
  periodMs: number
  timeoutMs: number
  suspectAfter: number
  deadAfterMs: number
}

export interface FailureDetectionDeps {
  port: SwimPort
  log: Log
  directory: Pick<
    Directory,
    'announce' | 'get' | 'markAlive' | 'markDead' | 'markSuspect' | 'onChange' | 'showActivity' | 'size'
  >
  load(): { load: number; queueLength: number }
  /** How this node's own agent gets on with its work. */
  activity?(): Activity
  /** Closes the connections to a peer that is dead, or that this node alone does not hear. */
  cutOff(peer: string, silentMs: number): void
}

export interface FailureDetection
  extends Pick<Swim, 'activity' | 'load' | 'rttMs' | 'silentMs' | 'statusOf' | 'stats'> {
  /**
   * Called with what is believed of a peer from now on. `dead`: its work may be given to others, unless that needs a
   * fence; `left`: with `departure`, whether it means to come back.
   */
  onChange(fn: (change: MemberStatusChange) => void): Stop
  stop(): Promise<void>
}

/** Others may hear a peer that this node does not: its connection is given this much longer than a verdict takes. */
const UNHEARD = 1.5

export const createFailureDetection = async (
  deps: FailureDetectionDeps,
  options: FailureDetectionOptions,
): Promise<FailureDetection> => {
  const { directory, log } = deps
  const listeners = new Set<(change: MemberStatusChange) => void>()

  const changed = (change: MemberStatusChange): void => {
    const { peer, status, silentMs } = change
    if (status === 'suspect') directory.markSuspect(peer)
    else if (status === 'alive') directory.markAlive(peer)
    else if (status === 'dead') {
      directory.markDead(peer)
      if (silentMs !== undefined) deps.cutOff(peer, silentMs)
    }
    for (const fn of listeners) {
      try {
        fn(change)
      } catch (error) {
        log.error('a listener of the presence of peers failed', { error })
      }
    }
  }

  const { periodMs, timeoutMs, suspectAfter, deadAfterMs } = options
  const swim = await createSwim(
    {
      port: deps.port,
      load: deps.load,
      ...(deps.activity === undefined ? {} : { activity: deps.activity }),
      members: directory.size,
      incarnationOf: (peer) => directory.get(peer)?.record.incarnation,
      changed,
      presumedDead() {
        log.warn('this node stood still or was cut off, and may have been taken for dead; it says that it is not', {
          hint: 'keep long computations in a worker thread',
        })
        directory.announce({}).catch((error: unknown) => log.warn('the own record could not be written', { error }))
      },
    },
    { periodMs, timeoutMs, suspectAfter, suspicionMs: suspicionFor(deadAfterMs, options) },
  )

  directory.showActivity((peer) => (peer === deps.port.self.id ? deps.activity?.() : swim.activity(peer)))
  const changes = directory.onChange((change) => {
    const { agent } = change
    if (change.type !== 'left') {
      if (!agent.self) swim.member(agent.peer, agent.record.incarnation)
    } else if (agent.self) swim.leave()
    else if (change.reason === 'left') swim.left(agent.peer, agent.record.incarnation, change.departure)
  })

  // TCP would go on for minutes over a way that is cut, while other members answer for the peer: a new connection may find
  // another way, and no verdict is needed for it.
  let lookedAtMs = deps.port.clock.monotonic()
  const stopLooking = deps.port.timers.every(deadAfterMs / 4, () => {
    const at = deps.port.clock.monotonic()
    const isLate = at - lookedAtMs > deadAfterMs / 2
    lookedAtMs = at
    // A node that stood still has not read what came meanwhile.
    if (isLate) return
    for (const { peer, silentMs } of swim.unresponsive(UNHEARD * deadAfterMs)) deps.cutOff(peer, silentMs)
  })

  return {
    ...swim,
    onChange(fn) {
      listeners.add(fn)
      return () => void listeners.delete(fn)
    },
    async stop() {
      stopLooking()
      await changes.stop()
      listeners.clear()
      await swim.stop()
    },
  }
}
