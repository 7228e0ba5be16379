/**
 * The agent that compose.yaml and the Kubernetes manifests serve: greets by name, and says which container answered.
 *
 * It stands for your own: put a module beside it in an image of your own (`FROM parley-mesh`, `COPY` to /app/agents),
 * or mount one there, and name it with --serve.
 */
import { hostname } from 'node:os'
import { defineAgent, defineProtocol, offer } from 'parley-mesh'
import { z } from 'zod'

export const greeter = defineProtocol({
  name: 'greeter',
  version: '1.0.0',
  methods: {
    // Greeting twice does no harm, so that a call whose node went away may be tried at another one.
    hello: {
      request: z.object({ name: z.string().min(1).max(100) }),
      response: z.object({ text: z.string(), host: z.string() }),
      idempotent: true,
    },
    // Each guest is welcomed and counted once, so that a call that may have arrived is not tried again.
    welcome: {
      request: z.object({ name: z.string().min(1).max(100) }),
      response: z.object({ text: z.string(), host: z.string(), guests: z.number().int() }),
    },
  },
})

export default defineAgent(() => {
  const host = hostname()
  let guests = 0
  return {
    offers: [
      offer(greeter, {
        hello: ({ name }) => ({ text: `Hello, ${name}!`, host }),
        welcome({ name }) {
          guests += 1
          return { text: `Welcome, ${name}!`, host, guests }
        },
      }),
    ],
  }
})
