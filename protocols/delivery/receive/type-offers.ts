/** Types of messages that the directory tells of: each once, however many here take it. State: how many do. */

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
