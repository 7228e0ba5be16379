/**
 * Who is there, in a running node: the failure detector (discovery/swim.ts) beside the directory.
 *
 * What the detector finds goes into the directory: a suspect gets no new work while others are there, who is dead leaves
 * the view, and whose connection still stands is cut off, which fails what waits for it. What the directory knows goes
 * into the detector: who has started anew, who said goodbye. A node that hears that it was called dead writes its record
 * anew, so that it is in every view again. Listeners hear of every change, for work that has to move elsewhere.
 * State: listeners. Wire id: `/parley/presence/1`.
 */
import type { Activity } from '../discovery/activity.ts'
import type { Directory } from '../discovery/directory.ts'
import { suspicionFor } from '../discovery/swim/settings.ts'
import { createSwim, type StandingChange, type Swim, type SwimPort } from '../discovery/swim.ts'
import type { Log, Stop } from '../protocols/port.ts'

export { presence } from '../discovery/swim/protocol.ts'

export interface PresenceOptions {
  /** See the timings of the same names in tuning.ts. */
  periodMs: number
  timeoutMs: number
  suspectAfter: number
  deadAfterMs: number
}

export interface PresenceDeps {
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

export interface Presence extends Pick<Swim, 'activity' | 'load' | 'rttMs' | 'silentMs' | 'standing' | 'stats'> {
  /**
   * Called with what is believed of a peer from now on. `dead`: its work may be given to others, unless that needs a
   * fence; `left`: with `departure`, whether it means to come back.
   */
  onChange(fn: (change: StandingChange) => void): Stop
  stop(): Promise<void>
}

/** Others may hear a peer that this node does not: its connection is given this much longer than a verdict takes. */
const UNHEARD = 1.5

export const createPresence = async (deps: PresenceDeps, options: PresenceOptions): Promise<Presence> => {
  const { directory, log } = deps
  const listeners = new Set<(change: StandingChange) => void>()

  const changed = (change: StandingChange): void => {
    const { peer, standing, silentMs } = change
    if (standing === 'suspect') directory.markSuspect(peer)
    else if (standing === 'alive') directory.markAlive(peer)
    else if (standing === 'dead') {
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
  const stopDirectory = directory.onChange((change) => {
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
    for (const { peer, silentMs } of swim.unheard(UNHEARD * deadAfterMs)) deps.cutOff(peer, silentMs)
  })

  return {
    ...swim,
    onChange(fn) {
      listeners.add(fn)
      return () => void listeners.delete(fn)
    },
    async stop() {
      stopLooking()
      stopDirectory()
      listeners.clear()
      await swim.stop()
    },
  }
}
