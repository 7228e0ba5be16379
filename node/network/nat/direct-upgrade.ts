/**
 * Direct connections in place of relayed ones: a peer that is reached through a relay is dialled directly again, soon at
 * first and ever more seldom, and at once when its record changed. Whichever connection is better is chosen elsewhere
 * (peers.ts), as is when the other one is closed.
 *
 * State: when each relayed peer is dialled again; bounded by the members.
 */
import type { Clock, Timers } from '../../../protocols/port.ts'
import { endingWith, isRelayed } from '../addresses/multiaddresses.ts'
import { dialOrder, happyEyeballs } from '../dial/happy-eyeballs.ts'

const DIAL_MS = 5_000
/** Peers that are dialled at the same time. */
const MAX_DIALS = 4
/** The longest pause, in shortest ones. */
const MAX_PAUSES = 16

export interface DirectUpgradesDeps {
  readonly clock: Pick<Clock, 'monotonic'>
  readonly timers: Pick<Timers, 'after'>
  chance(): number
  /** Peers that are reached through a relay now. */
  relayed(): readonly string[]
  addressesOf(peer: string): readonly string[]
  /** Dials this address, which ends with a peer id, whatever connections there are. */
  dial(address: string, signal: AbortSignal): Promise<unknown>
  /** The shortest pause between two dials of a peer, milliseconds; it doubles. */
  readonly pauseMs: number
}

export interface DirectUpgrades {
  /** Dials those whose time has come; to be called now and then. */
  dialDue(): void
  /** The record of this peer changed: it may have an address that works. */
  recordChanged(peer: string): void
  /** Direct connections that were made. */
  count(): number
}

export const createDirectUpgrades = (deps: DirectUpgradesDeps): DirectUpgrades => {
  const { clock, timers } = deps
  const due = new Map<string, { atMs: number; pauseMs: number }>()
  const dialling = new Set<string>()
  let made = 0

  const dial = async (peer: string, direct: readonly string[]): Promise<void> => {
    const whole = direct.map((address) => endingWith(address, peer))
    dialling.add(peer)
    try {
      await happyEyeballs(dialOrder(whole, undefined), { timers, attempt: deps.dial }, AbortSignal.timeout(DIAL_MS))
      made += 1
    } catch {
      // It is reached through the relay as before, and dialled again later.
    } finally {
      dialling.delete(peer)
    }
  }

  return {
    dialDue() {
      const now = clock.monotonic()
      const relayed = new Set(deps.relayed())
      for (const peer of due.keys()) if (!relayed.has(peer)) due.delete(peer)
      for (const peer of relayed) {
        const known = due.get(peer) ?? { atMs: now + deps.pauseMs, pauseMs: deps.pauseMs }
        due.set(peer, known)
        if (known.atMs > now || dialling.size >= MAX_DIALS || dialling.has(peer)) continue
        const pauseMs = Math.min(known.pauseMs * 2, deps.pauseMs * MAX_PAUSES)
        // Both sides dial: not always at the same moment.
        due.set(peer, { atMs: now + pauseMs * (0.75 + deps.chance() / 2), pauseMs })
        const direct = deps.addressesOf(peer).filter((address) => !isRelayed(address))
        if (direct.length > 0) void dial(peer, direct)
      }
    },
    recordChanged(peer) {
      const known = due.get(peer)
      if (known !== undefined) due.set(peer, { ...known, atMs: clock.monotonic() })
    },
    count: () => made,
  }
}
