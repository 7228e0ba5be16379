/**
 * Presets: small overrides of the figures of a node, by where its peers are. What the user gives stands above them.
 */
import type * as z from 'zod'
import type { CompressionOptions, Limits, Timings } from './limits.ts'
import type { Preset } from './preset-names.ts'

export interface PresetOverrides {
  readonly limits?: z.input<typeof Limits>
  readonly timings?: z.input<typeof Timings>
  readonly compression?: z.input<typeof CompressionOptions>
}

export const PRESETS: Readonly<Record<Preset, PresetOverrides>> = {
  /** One machine: nothing is far, compression costs more than it saves, all peers share one address. */
  local: {},
  /** One site: many machines, some behind one address. */
  lan: {
    limits: { inboundConnectionsPerSecond: 100 },
    timings: { backoffMaxMs: 15_000 },
    compression: { encodings: ['zstd', 'gzip'] },
  },
  /** The internet: long and uneven delays, addresses that nobody knows. */
  wan: {
    limits: { inboundConnectionsPerSecond: 20 },
    timings: {
      admissionTimeoutMs: 10_000,
      dialTimeoutMs: 15_000,
      backoffMaxMs: 30_000,
      probePeriodMs: 1_000,
      probeTimeoutMs: 1_000,
      deadAfterMs: 15_000,
    },
    compression: { minBytes: 512, encodings: ['zstd', 'gzip'] },
  },
}
