/** An agent that does what the contract `toil` says, in a worker thread. */
import { defineAgent, offer } from '../../../node/agent/define-agent.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import { toil } from './contract.ts'

export default defineAgent((agent) => {
  const aborted: string[] = []
  let held = 0
  let made = 0

  const hold = ({ text }: { text: string }, { signal }: { signal: AbortSignal }): Promise<{ text: string }> => {
    held += 1
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        held -= 1
        aborted.push(`${text}:${signal.reason.code}`)
        reject(signal.reason)
      })
    })
  }

  return {
    offers: [
      offer(toil, {
        echo: ({ text }) => ({ text }),
        mirror: (bytes) => bytes,
        context: (_, { peer, envelope, remainingMs }) => ({
          peer,
          remainingMs: remainingMs(),
          conversationId: envelope.conversationId,
          headers: envelope.headers,
          source: envelope.source,
          self: agent.self.id,
          payloadBytes: envelope.payload instanceof Uint8Array ? envelope.payload.length : -1,
        }),
        spin({ ms }) {
          const endsAt = performance.now() + ms
          while (performance.now() < endsAt);
          return {}
        },
        hold,
        holdAgain: hold,
        state: () => ({ held, aborted, made }),
        async *count({ to, bytes }) {
          const fill = 'x'.repeat(bytes)
          for (let n = 1; n <= to; n += 1) {
            made = n
            yield { n, fill }
          }
        },
        refuse() {
          throw new ParleyError('STA003', 'the shelf is full', { hint: 'empty it', details: { shelf: 7 } })
        },
        break() {
          throw new TypeError('the cellar door is at /etc/passwd')
        },
        pay({ tokens }, { budget }) {
          budget?.spend({ tokens })
          return { tokens: budget?.remaining().tokens ?? -1 }
        },
        async *payEach({ tokens }, { budget }) {
          for (let n = 0; n < 2; n += 1) {
            budget?.spend({ tokens: tokens / 2 })
            yield { tokens: budget?.remaining().tokens ?? -1 }
          }
        },
        crash() {
          setImmediate(() => {
            throw new Error('the roof fell in')
          })
        },
      }),
    ],
  }
})
