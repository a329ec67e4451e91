import { createApp } from "vue";
import App from "./App.vue";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import "./theme";
import { follow } from "./plant";
import { keepInAddress } from "./view";

keepInAddress();
follow();
createApp(App).mount("#app");
