import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

// No inline script or style, no data: asset: the page's Content-Security-Policy allows none.
export default defineConfig({
  plugins: [vue()],
  base: "/",
  define: { __VUE_OPTIONS_API__: "false" },
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: false, reportCompressedSize: false },
  server: { proxy: { "/api": "http://127.0.0.1:8000", "/ws": { target: "ws://127.0.0.1:8000", ws: true } } },
});
