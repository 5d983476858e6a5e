// The colours of charts and page, as custom properties: a page, or an SVG that stands alone,
// defines them for light and dark surroundings.

const palettes = {
  light: {
    ink: '#1c2430',
    soft: '#56616f',
    line: '#dde2e9',
    own: '#0b6bcb',
    other: '#a3afbd',
    back: '#ffffff',
  },
  dark: {
    ink: '#e6edf3',
    soft: '#a3b0bf',
    line: '#38424e',
    own: '#4aa3ff',
    other: '#66727f',
    back: '#151b23',
  },
}

/** Declarations of CSS, for `light` or `dark`. */
export function paletteCss(scheme) {
  return Object.entries(palettes[scheme])
    .map(([name, colour]) => `--${name}:${colour}`)
    .join(';')
}
