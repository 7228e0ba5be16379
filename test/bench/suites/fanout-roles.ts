/** The ends of the fanout suite: one publishes, any number of others count what arrives. */
import { z } from 'zod'
import { counting } from '../counting.ts'
import { publishing } from '../publishing.ts'
import type { Roles } from '../role.ts'

export const roles: Roles = {
  publisher: async ({ fanout }) => {
    if (fanout === undefined) throw new Error('this system takes no part in fanout')
    const publisher = await fanout.publish()
    return { hello: publisher.address, verbs: publishing(publisher), stop: () => publisher.stop() }
  },

  subscriber: async ({ fanout }, input) => {
    if (fanout === undefined) throw new Error('this system takes no part in fanout')
    const { onEvent, verbs } = counting()
    const running = await fanout.subscribe(z.string().parse(input), onEvent)
    return { hello: null, verbs, stop: () => running.stop() }
  },
}
