/**
 * The places of this node at relays: which it has, and which relay it asks next. Pure; what it says to do is data.
 *
 * A node that others cannot dial wants `count` places at members that serve as relays. It asks one relay at a time,
 * connected ones first, and leaves one that refused or failed alone for a while. A place ends with the connection to its
 * relay, or when the relay did not keep it.
 */

export interface ReservationsState {
  /** By relay: milliseconds of the clock at which it is asked to keep the place. */
  readonly held: ReadonlyMap<string, number>
  /** Relays that are left alone, until when. */
  readonly avoided: ReadonlyMap<string, number>
  readonly asking: string | undefined
}

export type ReservationsInput =
  | { readonly type: 'granted'; readonly relay: string; readonly forMs: number }
  | { readonly type: 'refused'; readonly relay: string }
  /** The connection to this relay is gone. */
  | { readonly type: 'lost'; readonly relay: string }
  | {
      readonly type: 'look'
      readonly wanted: number
      /** Members that serve, and whether each is connected. */
      readonly relays: ReadonlyMap<string, boolean>
      /** A number from 0 to 1 for each relay: not all nodes go to the same one. */
      readonly rank: (relay: string) => number
    }

/** Ask this relay for a place, or to keep the one that this node has there. */
export interface ReservationRequest {
  readonly relay: string
}

/** A relay that refused may have room later; one that failed may be back. */
export const AVOID_MS = 15_000
/** Of the time that a place is kept, so much passes before it is asked for again. */
const RENEW_AT = 0.5
const LEAST_RENEW_MS = 1_000

export const noReservations: ReservationsState = { held: new Map(), avoided: new Map(), asking: undefined }

const without = (map: ReadonlyMap<string, number>, key: string): Map<string, number> =>
  new Map([...map].filter(([other]) => other !== key))

export const stepReservations = (
  state: ReservationsState,
  input: ReservationsInput,
  nowMs: number,
): { state: ReservationsState; ask: ReservationRequest | undefined } => {
  if (input.type === 'lost') return { state: { ...state, held: without(state.held, input.relay) }, ask: undefined }
  if (input.type === 'granted') {
    const renewAt = nowMs + Math.max(LEAST_RENEW_MS, input.forMs * RENEW_AT)
    return {
      state: { ...state, asking: undefined, held: new Map(state.held).set(input.relay, renewAt) },
      ask: undefined,
    }
  }
  if (input.type === 'refused') {
    const shunned = new Map(state.avoided).set(input.relay, nowMs + AVOID_MS)
    return { state: { asking: undefined, avoided: shunned, held: without(state.held, input.relay) }, ask: undefined }
  }

  const { wanted, relays, rank } = input
  const shunned = new Map([...state.avoided].filter(([, until]) => until > nowMs))
  // Places that are too many, or at members that serve no more, are not renewed and not told.
  const kept = [...state.held].filter(([relay]) => relays.has(relay)).slice(0, wanted)
  const next: ReservationsState = { held: new Map(kept), avoided: shunned, asking: state.asking }
  if (next.asking !== undefined) return { state: next, ask: undefined }
  const due = kept.find(([, renewAt]) => renewAt <= nowMs)?.[0]
  const fresh =
    kept.length >= wanted
      ? undefined
      : [...relays]
          .filter(([relay]) => !next.held.has(relay) && !shunned.has(relay))
          .toSorted(([a, near], [b, alsoNear]) => Number(alsoNear) - Number(near) || rank(a) - rank(b))[0]?.[0]
  const relay = due ?? fresh
  if (relay === undefined) return { state: next, ask: undefined }
  return { state: { ...next, asking: relay }, ask: { relay } }
}
