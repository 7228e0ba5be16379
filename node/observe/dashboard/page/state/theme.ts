/** Light, dark, or as the system has it. State: the choice, which the browser keeps. */
import { computed, effect, signal } from '@preact/signals'
import { storedChoice } from './stored-choice.ts'

export const THEME_CHOICES = ['system', 'light', 'dark'] as const
export type ThemeChoice = (typeof THEME_CHOICES)[number]

const dark = matchMedia('(prefers-color-scheme: dark)')
const { made, make } = storedChoice('parley-colours', THEME_CHOICES)

export const choice = computed<ThemeChoice>(() => made.value ?? 'system')
const systemIsDark = signal(dark.matches)
dark.addEventListener('change', ({ matches }) => {
  systemIsDark.value = matches
})

export const colours = computed<'light' | 'dark'>(() =>
  choice.value === 'system' ? (systemIsDark.value ? 'dark' : 'light') : choice.value,
)

export const nextChoice = (): void =>
  make(THEME_CHOICES[(THEME_CHOICES.indexOf(choice.value) + 1) % THEME_CHOICES.length] ?? 'system')

effect(() => {
  document.documentElement.dataset.colours = colours.value
})
