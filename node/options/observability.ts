/**
 * Options of what a node shows of itself over HTTP: the debug endpoint for people, the health listener for probes and
 * scrapers, and which figures there are beside the usual ones. Pure.
 */
import * as z from 'zod'

const LOOPBACK = '127.0.0.1'
const Port = z.int().min(0).max(65_535)
const FORM = { error: 'use false, a port, or { port, host }' }
const listening = <T>(given: T | number): T | { port: number; host: string } =>
  typeof given === 'number' ? { port: given, host: LOOPBACK } : given

export const DebugEndpoint = z.strictObject({
  port: Port.default(0).describe('TCP port, 0 for any free one.'),
  host: z
    .string()
    .min(1)
    .default(LOOPBACK)
    .describe('Address that it listens on. Beyond 127.0.0.1 whoever reaches it can read it.'),
  orAnyPort: z
    .boolean()
    .optional()
    .describe('Take any free port where that one is taken, and say so in the log, instead of not starting.'),
})

export const DebugOption = z
  .union([z.literal(false), Port, DebugEndpoint], FORM)
  .transform(listening)
  .default(false)
  .describe(
    'Debug endpoint over HTTP: a port (0 for any free one), or port and host; false for none. Where the port is taken the node does not start, or takes any free one with orAnyPort. It has no password: beyond 127.0.0.1 anyone who reaches it can read it.',
  )

export const HealthListener = z.strictObject({
  port: Port.default(0).describe('TCP port, 0 for any free one.'),
  host: z
    .string()
    .min(1)
    .default(LOOPBACK)
    .describe('Address that it listens on: 0.0.0.0 where probes and scrapers come from elsewhere.'),
})

export const HealthOption = z
  .union([z.literal(false), Port, HealthListener], FORM)
  .transform(listening)
  .default(false)
  .describe(
    'Health listener over HTTP, for probes and scrapers: /healthz, /readyz and /metrics, by any Host, and nothing else. A port (0 for any free one), or port and host; false for none. It has no password, and metrics name agents, methods and topics.',
  )

export const MetricsOptions = z.strictObject({
  pairs: z
    .boolean()
    .default(false)
    .describe('message_latency by name of the caller and of the agent that was called: up to 1,000 more histograms.'),
  libp2p: z
    .boolean()
    .default(false)
    .describe("libp2p's own figures, with the names that js-libp2p gives them: bytes by protocol, dials, connections."),
})
