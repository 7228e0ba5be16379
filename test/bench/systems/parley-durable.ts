/**
 * Parley's durable messages: typed, encrypted, from one peer to the other without a broker. For exactly once the consumer's
 * effect is a row for each message, written within the transaction that also remembers the message.
 */
import { z } from 'zod'
import { defineMessage } from '../../../protocols/index.ts'
import { sequenceOf } from '../body.ts'
import type { DurableEnds } from '../system.ts'
import { startFirst, startSecond } from './parley-meshes.ts'

const Load = defineMessage({ type: 'bench.load', version: '1.0.0', schema: z.object({ data: z.string() }) })

export const durable: DurableEnds = {
  receive: async (guarantee, onMessage) => {
    const { mesh, address } = await startFirst()
    await mesh.messages.receive(Load, (data, { tx }) => {
      if (guarantee === 'exactly-once') tx.put(`n/${sequenceOf(data)}`, 1)
      onMessage(data)
    })
    return { address, stop: () => mesh.stop() }
  },

  connect: async (address, guarantee) => {
    const { mesh, peer } = await startSecond(address)
    const { messages } = mesh
    const options = { guarantee: guarantee === 'exactly-once' ? 'EXACTLY_ONCE' : 'AT_LEAST_ONCE' } as const
    return {
      send: async (body, onConfirmed) => {
        const receipt = await messages.send(peer, Load, body, options)
        onConfirmed()
        await receipt.delivered()
      },
      stop: () => mesh.stop(),
    }
  },
}
