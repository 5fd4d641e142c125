import RFB from "@novnc/novnc"; console.log(RFB)
