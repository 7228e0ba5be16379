/** The two ends of the events suite: one publishes at full speed or at a rate, the other counts what arrives. */
import { z } from 'zod'
import { counting } from '../counting.ts'
import { publishing } from '../publishing.ts'
import type { Roles } from '../role.ts'

export const roles: Roles = {
  subscriber: async ({ events }) => {
    if (events === undefined) throw new Error('this system takes no part in events')
    const { onEvent, verbs } = counting()
    const listening = await events.subscribe(onEvent)
    return { hello: listening.address, verbs, stop: () => listening.stop() }
  },

  publisher: async ({ events }, input) => {
    if (events === undefined) throw new Error('this system takes no part in events')
    const publisher = await events.connect(z.string().parse(input))
    return { hello: null, verbs: publishing(publisher), stop: () => publisher.stop() }
  },
}
