/**
 * Which types of messages this node takes: those that it remembers, and those that the directory tells of.
 *
 * Remembered across restarts (rows `k/<type>`): a node that starts is reached before its program has said what it receives,
 * and what it received before is worth waiting for. In the directory each type stands once, however many here take it.
 * State: the types, at most MAX_KNOWN; how many take each one that is told of.
 */
import { ParleyError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import type { RowStore } from '../store/row-storage.ts'

const KNOWN = 'k/'
export const MAX_KNOWN = 1_024
/** A program that starts says what it receives within this, or has received it before. */
const STARTING_MS = 10_000
const RETRY_AFTER_MS = 1_000
const PRESENT = new Uint8Array([1])

export interface KnownTypes {
  add(type: string): void
  remove(type: string): void
  /** Its handler ran before this node started, and may begin yet. */
  isAwaited(type: string): boolean
  /** Why a message of a type without a handler is not processed: COM003 where one may come, which counts as no attempt, else MSG004. */
  missingHandlerError(type: string): ParleyError
}

export const openKnownTypes = async (port: Pick<Port, 'clock'>, store: RowStore): Promise<KnownTypes> => {
  const types = new Set<string>()
  const openedAt = port.clock.monotonic()
  for await (const { key } of store.rows(KNOWN, { limit: MAX_KNOWN })) types.add(key.slice(KNOWN.length))
  const isStarting = (): boolean => port.clock.monotonic() - openedAt < STARTING_MS

  return {
    add(type) {
      if (types.has(type) || types.size >= MAX_KNOWN) return
      types.add(type)
      store.later([{ key: KNOWN + type, value: PRESENT }])
    },
    remove(type) {
      if (types.delete(type)) store.later([{ key: KNOWN + type, value: undefined }])
    },
    isAwaited: (type) => types.has(type) && isStarting(),
    missingHandlerError(type) {
      const mayCome = types.has(type) || isStarting()
      return mayCome
        ? new ParleyError('COM003', `the handler of ${type} has not started yet`, {
            hint: 'the message waits for it; call mesh.messages.receive() at the receiver',
            details: { retryAfterMs: RETRY_AFTER_MS },
          })
        : new ParleyError('MSG004', `nobody here takes messages of the type ${type}`, {
            hint: 'call mesh.messages.receive() for it, or open the inbox',
          })
    },
  }
}

/** Begins the protocol in an agent's record that stands for a type of message which it receives. */
export const MESSAGE_OFFER_PREFIX = 'message/'

/** @returns what ends it, for this one */
export type TypeOffers = (
  type: string,
  version: string,
  description: string | undefined,
) => Promise<() => Promise<void>>

export const createTypeOffers = (announce: TypeOffers): TypeOffers => {
  interface Offer {
    takers: number
    readonly announced: Promise<void>
    withdraw: (() => Promise<void>) | undefined
  }
  const offers = new Map<string, Offer>()

  const make = (type: string, version: string, description: string | undefined): Offer => {
    const offer: Offer = {
      takers: 0,
      announced: announce(type, version, description).then((withdraw) => {
        offer.withdraw = withdraw
      }),
      withdraw: undefined,
    }
    offers.set(type, offer)
    return offer
  }

  return async (type, version, description) => {
    const offer = offers.get(type) ?? make(type, version, description)
    offer.takers += 1
    try {
      await offer.announced
    } catch (error) {
      if (offers.get(type) === offer) offers.delete(type)
      throw error
    }
    let isOver = false
    return async () => {
      if (isOver) return
      isOver = true
      offer.takers -= 1
      if (offer.takers > 0) return
      offers.delete(type)
      await offer.withdraw?.()
    }
  }
}
