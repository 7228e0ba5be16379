/** Light, dark, or as the system has it. State: the choice, which the browser keeps. */
import { computed, effect, signal } from '@preact/signals'
import { keptChoice } from './kept.ts'

export const CHOICES = ['system', 'light', 'dark'] as const
export type Choice = (typeof CHOICES)[number]

const dark = matchMedia('(prefers-color-scheme: dark)')
const { made, make } = keptChoice('parley-colours', CHOICES)

export const choice = computed<Choice>(() => made.value ?? 'system')
const systemIsDark = signal(dark.matches)
dark.addEventListener('change', ({ matches }) => {
  systemIsDark.value = matches
})

export const colours = computed<'light' | 'dark'>(() =>
  choice.value === 'system' ? (systemIsDark.value ? 'dark' : 'light') : choice.value,
)

export const nextChoice = (): void => make(CHOICES[(CHOICES.indexOf(choice.value) + 1) % CHOICES.length] ?? 'system')

effect(() => {
  document.documentElement.dataset.colours = colours.value
})
