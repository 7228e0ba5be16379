/** The configuration of `parley up`: its flags, what it has where nobody says otherwise, and all layers put together. */
import { join } from 'node:path'
import type { LogLevel } from '../../observe/log/log-levels.ts'
import { type LoadedConfig, loadConfig } from '../../options/config/load-config.ts'
import type { Setting } from '../../options/config/setting-layer.ts'
import type { Preset } from '../../options/preset-names.ts'
import { DATA_ROOT } from '../connect/running-nodes.ts'
import { parseLabels } from '../input/option-values.ts'

export interface UpOptions {
  config?: string
  name?: string
  mesh?: string
  listen?: string[]
  join?: string[]
  secretFile?: string[]
  allowWeakSecret?: boolean
  dataDir?: string
  /** False for --no-debug. */
  debug?: boolean
  debugPort?: number
  debugHost?: string
  /** False for --no-health. */
  health?: boolean
  healthPort?: number
  healthHost?: string
  drain?: number
  preset?: Preset
  label?: string[]
  serve?: string[]
  part?: string[]
  stuckAfter?: number
  expect?: number
  mdns?: boolean
  /** False for --no-local. */
  local?: boolean
  voter?: 'auto' | 'never'
  log?: LogLevel
  json?: boolean
}

export const DEFAULT_NAME = 'node'

const entry = (origin: Setting['origin'], key: string, value: unknown): Setting[] =>
  value === undefined ? [] : [{ path: key.split('.'), value, origin }]

/** What was given on the command line. */
export const entriesOfFlags = (options: UpOptions): Setting[] => {
  const flag = (name: string, key: string, value: unknown): Setting[] => entry({ kind: 'flag', name }, key, value)
  const listener = (key: string, isOn: boolean | undefined, port?: number, host?: string): Setting[] =>
    isOn === false
      ? flag(`--no-${key}`, key, false)
      : [...flag(`--${key}-port`, `${key}.port`, port), ...flag(`--${key}-host`, `${key}.host`, host)]
  const labels = Object.entries(parseLabels(options.label ?? [])).map(
    ([name, value]): Setting => ({ path: ['labels', name], value, origin: { kind: 'flag', name: '--label' } }),
  )
  return [
    ...labels,
    ...flag('--name', 'name', options.name),
    ...flag('--mesh', 'mesh', options.mesh),
    ...flag('--listen', 'listen', options.listen),
    ...flag('--join', 'join', options.join),
    ...flag('--mdns', 'discovery.mdns', options.mdns),
    // Commander makes it true where it was not given.
    ...flag('--no-local', 'discovery.local', options.local === false ? false : undefined),
    ...flag('--secret-file', 'secret_file', options.secretFile),
    ...flag('--allow-weak-secret', 'allow_weak_secret', options.allowWeakSecret),
    ...flag('--data-dir', 'data_dir', options.dataDir),
    ...listener('debug', options.debug, options.debugPort, options.debugHost),
    ...listener('health', options.health, options.healthPort, options.healthHost),
    ...flag('--drain', 'timings.drain_ms', options.drain),
    ...flag('--stuck-after', 'timings.stuck_after_ms', options.stuckAfter),
    ...flag('--preset', 'preset', options.preset),
    ...flag('--expect', 'coordination.expect', options.expect),
    ...flag('--voter', 'coordination.voter', options.voter),
    ...flag('--serve', 'serve', options.serve),
    ...flag('--part', 'parts', options.part),
    ...flag('--log', 'log', options.log),
  ]
}

const usual = (key: string, value: unknown): Setting[] => entry({ kind: 'default' }, key, value)

/** Other than those of createMesh: a node that a person starts has an identity, and shows itself. */
export const UP_DEFAULTS: readonly Setting[] = [
  ...usual('name', DEFAULT_NAME),
  ...usual('data_dir', join(DATA_ROOT, DEFAULT_NAME)),
  ...usual('debug.port', 0),
  ...usual('debug.or_any_port', true),
  ...usual('timings.drain_ms', 3_000),
  ...usual('control', true),
  ...usual('minor_gc', true),
  ...usual('discovery.local', true),
]

export const loadUpConfiguration = (options: UpOptions): Promise<LoadedConfig> =>
  loadConfig({ config: options.config, flags: entriesOfFlags(options), defaults: UP_DEFAULTS })

/** Somebody chose it; else it is what `parley up` has by itself. */
export const isExplicit = ({ sources }: LoadedConfig, key: string): boolean =>
  (sources.get(key)?.origin.kind ?? 'default') !== 'default'
