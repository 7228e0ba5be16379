/**
 * The figures of the failure detector, and what follows from them. Pure.
 *
 * Source: SWIM (Das et al., DSN 2002) for the probes, Lifeguard (Dadgar et al., arXiv:1707.00788) for LHA-Probe, which
 * stretches the times of a node that is slow itself, and LHA-Suspicion, which shortens a suspicion with each node that
 * confirms it.
 */

export interface SwimSettings {
  /** Milliseconds between two probes of a node. Each period it probes one neighbour. */
  readonly periodMs: number
  /** Milliseconds until others are asked to probe a neighbour that did not answer. Above the usual round trip. */
  readonly timeoutMs: number
  /** Failed probes in a row, the indirect ones included, that make a suspect. */
  readonly suspectAfter: number
  /** Neighbours that are asked to probe one that did not answer. */
  readonly relays: number
  /** Others whose own probes must fail as well before a suspicion is at its shortest. */
  readonly confirmations: number
  /** Milliseconds of a suspicion that all of them confirmed, in a mesh of up to a hundred. */
  readonly suspicionMs: number
  /** How much longer one lasts that nobody confirms. */
  readonly patience: number
  /** The most that the times of a slow node are stretched by, beside their own length. */
  readonly maxHealth: number
  /** A rumour is passed on this often, times the tenth logarithm of the members. More is surer and costs bytes. */
  readonly retransmit: number
  /** Claims in one message. */
  readonly maxNews: number
  /** Claims that wait to be passed on; beyond it the one that was passed on most goes. */
  readonly maxRumours: number
  /** Peers with news that are remembered, neighbours not counted; beyond it the oldest goes. */
  readonly maxMembers: number
  /** Milliseconds that news is remembered: longer than a rumour goes round. */
  readonly keepMs: number
}

export const SWIM_DEFAULTS: SwimSettings = {
  periodMs: 500,
  timeoutMs: 200,
  suspectAfter: 2,
  relays: 3,
  confirmations: 3,
  suspicionMs: 3_500,
  patience: 3,
  maxHealth: 8,
  retransmit: 4,
  maxNews: 12,
  maxRumours: 256,
  maxMembers: 2_048,
  keepMs: 60_000,
}

/** An indirect probe takes one and a half times as long as a direct one: two ways more, and the relay's own timeout. */
const INDIRECT = 1.5

/** Milliseconds until a probe has failed, of a node that is well itself. A period, where a round trip is far below it. */
export const probeMs = ({ periodMs, timeoutMs }: Pick<SwimSettings, 'periodMs' | 'timeoutMs'>): number =>
  Math.max(periodMs, (1 + INDIRECT) * timeoutMs)

/**
 * The shortest suspicion that makes a silent peer dead about `deadAfterMs` after it fell silent: the rest of that time
 * goes by until it is probed and the probes have failed.
 */
export const suspicionFor = (
  deadAfterMs: number,
  settings: Pick<SwimSettings, 'periodMs' | 'timeoutMs' | 'suspectAfter'>,
): number => Math.max(deadAfterMs / 2, deadAfterMs - settings.periodMs - settings.suspectAfter * probeMs(settings))

/**
 * Milliseconds from a suspicion to a death: from `patience` times the shortest down to the shortest, by the logarithm of
 * those that confirmed it (Lifeguard, section IV-B). In a large mesh a refutation takes longer to go round.
 * @param members of the mesh, this node and the suspect included
 * @param confirmed accusers beside the first one
 */
export const suspicionMs = (settings: SwimSettings, members: number, confirmed: number): number => {
  const least = settings.suspicionMs * Math.max(1, Math.log10(Math.max(1, members)) / 2)
  // Who is there to confirm it: neither the suspect nor the first accuser.
  const possible = Math.min(settings.confirmations, members - 2)
  if (possible <= 0) return least
  const most = settings.patience * least
  const share = Math.min(1, Math.log(confirmed + 1) / Math.log(possible + 1))
  return most - (most - least) * share
}

/** How often a claim is passed on (SWIM, section 4.1: some multiple of log n reaches everybody almost surely). */
export const retransmissions = ({ retransmit }: SwimSettings, members: number): number =>
  retransmit * Math.max(1, Math.ceil(Math.log10(members + 1)))
