/**
 * Memberships are renewed before they end, and clocks of peers compared again, by another exchange of cards. State: a timer.
 */
import type { Clock, Log, Stop, Timers } from '../protocols/port.ts'
import type { Admission } from './admission.ts'
import { type ClockSkews, refusedSkew } from './clock-skew.ts'
import type { Membership } from './membership.ts'
import type { Peers } from './peers.ts'

const CHECK_MS = 60_000
/** While they have this share of their time left. */
const BEFORE_MS = 3_600_000

export interface RenewingDeps {
  readonly clock: Pick<Clock, 'now'>
  readonly timers: Pick<Timers, 'every'>
  readonly log: Log
  readonly peers: Pick<Peers, 'all'>
  readonly memberships: ReadonlyMap<string, Membership>
  readonly skews: ClockSkews
  readonly admission: Pick<Admission, 'renew'>
}

export const startRenewing = ({ clock, timers, log, peers, memberships, skews, admission }: RenewingDeps): Stop =>
  timers.every(CHECK_MS, () => {
    for (const { id, name, chosen } of peers.all()) {
      const membership = memberships.get(id)
      const isFresh = membership === undefined || membership.expiresAtMs - clock.now() > BEFORE_MS
      if (isFresh && !skews.isStale(id)) continue
      admission.renew(chosen).catch((error: unknown) => {
        log.warn('a membership could not be renewed', { peer: id, error })
        const skew = refusedSkew(error)
        if (skew !== undefined) skews.measured(id, name, skew)
      })
    }
  })
