/** The names of presets (presets.ts), for who needs no more of them than that: it is loaded for the help of the command. */
export const PRESET_NAMES = ['local', 'lan', 'wan'] as const
export type Preset = (typeof PRESET_NAMES)[number]
