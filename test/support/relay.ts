/** Handlers that pass a request on, along a route, on its behalf: for tests of delegation chains and of deadlocks. */
import { setTimeout } from 'node:timers/promises'
import * as z from 'zod'
import { type Client, defineProtocol, type Handlers } from '../../protocols/define.ts'

const Hop = z.object({
  to: z.string(),
  method: z.enum(['pass', 'back', 'turn']),
  /** Before it is passed on further. */
  pauseMs: z.number().default(0),
})
const Route = z.object({ pauseMs: z.number().default(0), route: z.array(Hop) })
const Way = z.object({ chain: z.array(z.string()), leftMs: z.number() })

export const relay = defineProtocol({
  name: 'relay',
  version: '1.0.0',
  methods: {
    pass: { request: Route, response: Way, timeoutMs: 15_000 },
    back: { request: Route, response: Way, timeoutMs: 15_000 },
    turn: { request: Route, response: Way, timeoutMs: 15_000 },
  },
})

type Pass = Handlers<typeof relay>['pass']

export const createRelay = (to: (peer: string) => Client<typeof relay>): Handlers<typeof relay> => {
  const pass: Pass = async ({ pauseMs, route }, context) => {
    await setTimeout(pauseMs)
    const [next, ...rest] = route
    if (next === undefined) return { chain: [...context.chain], leftMs: context.remainingMs() }
    return to(next.to)[next.method]({ pauseMs: next.pauseMs, route: rest }, { parent: context })
  }
  return { pass, back: pass, turn: pass }
}
